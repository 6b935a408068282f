// The SDKs of Go: a job a line on standard input, what each understood a line on standard output.
// A job is a conversation: a prompt, and if the answer calls tools, their results and the answer to them.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// Job is one conversation.
type Job struct {
	ID       int    `json:"id"`
	Client   string `json:"client"`
	Base     string `json:"base"`
	Key      string `json:"key"`
	Model    string `json:"model"`
	Prompt   string `json:"prompt"`
	Stream   bool   `json:"stream"`
	Tools    bool   `json:"tools"`
	Thinking bool   `json:"thinking"`
}

// Call is a call of a tool.
type Call struct {
	Name      string `json:"name"`
	Arguments any    `json:"arguments"`
}

// Failure is the class of an error, and its words.
type Failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Told is the sum of a conversation's answers: the last text, and all thinking and calls.
type Told struct {
	ID       int      `json:"id"`
	Text     string   `json:"text"`
	Thinking string   `json:"thinking"`
	Calls    []Call   `json:"calls"`
	Pieces   int      `json:"pieces"`
	Input    int64    `json:"input"`
	Output   int64    `json:"output"`
	Finishes []string `json:"finishes"`
	Error    *Failure `json:"error,omitempty"`
}

var names = []string{"Read", "Grep"}

func schema() map[string]any {
	return map[string]any{
		"type":                 "object",
		"properties":           map[string]any{"path": map[string]any{"type": "string"}},
		"required":             []string{"path"},
		"additionalProperties": false,
	}
}

func result(name string) string { return "result of " + name }

func (told *Told) call(name string, arguments string) error {
	var value any
	if err := json.Unmarshal([]byte(arguments), &value); err != nil {
		return err
	}
	told.Calls = append(told.Calls, Call{name, value})
	return nil
}

var clients = map[string]func(Job, *Told) error{
	"anthropic":        anthropicMessages,
	"openai-chat":      openaiChat,
	"openai-responses": openaiResponses,
	"gemini":           googleGemini,
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var job Job
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			panic(err)
		}
		told := Told{ID: job.ID, Calls: []Call{}}
		if err := clients[job.Client](job, &told); err != nil {
			told.Error = &Failure{fmt.Sprintf("%T", err), err.Error()}
		}
		if err := out.Encode(told); err != nil {
			panic(err)
		}
	}
}
