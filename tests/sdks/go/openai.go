package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func openaiClient(job Job) openai.Client {
	return openai.NewClient(
		option.WithAPIKey(job.Key), option.WithBaseURL(job.Base+"/v1"), option.WithMaxRetries(0),
	)
}

func openaiChat(job Job, told *Told) error {
	client := openaiClient(job)
	asked := openai.ChatCompletionNewParams{
		Model: job.Model,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("Be brief."), openai.UserMessage(job.Prompt),
		},
	}
	if job.Tools {
		for _, name := range names {
			function := shared.FunctionDefinitionParam{Name: name, Parameters: schema()}
			asked.Tools = append(asked.Tools, openai.ChatCompletionFunctionTool(function))
		}
	}
	if job.Thinking {
		asked.ReasoningEffort = shared.ReasoningEffortHigh
	}
	for {
		whole, err := chatAnswer(&client, job, asked, told)
		if err != nil {
			return err
		}
		if len(whole.Choices) != 1 {
			return errors.New("no choice")
		}
		choice := whole.Choices[0]
		told.Finishes = append(told.Finishes, choice.FinishReason)
		told.Input += whole.Usage.PromptTokens
		told.Output += whole.Usage.CompletionTokens
		told.Text = choice.Message.Content
		asked.Messages = append(asked.Messages, choice.Message.ToParam())
		if len(choice.Message.ToolCalls) == 0 {
			return nil
		}
		for _, call := range choice.Message.ToolCalls {
			if err := told.call(call.Function.Name, call.Function.Arguments); err != nil {
				return err
			}
			asked.Messages = append(asked.Messages, openai.ToolMessage(result(call.Function.Name), call.ID))
		}
	}
}

// reasoning is a member that the SDK has no field for.
func reasoning(raw string) string {
	var told struct {
		Reasoning string `json:"reasoning_content"`
	}
	_ = json.Unmarshal([]byte(raw), &told)
	return told.Reasoning
}

func chatAnswer(
	client *openai.Client, job Job, asked openai.ChatCompletionNewParams, told *Told,
) (*openai.ChatCompletion, error) {
	if !job.Stream {
		whole, err := client.Chat.Completions.New(context.Background(), asked)
		if err == nil && len(whole.Choices) > 0 {
			told.Thinking += reasoning(whole.Choices[0].Message.RawJSON())
		}
		return whole, err
	}
	asked.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := client.Chat.Completions.NewStreaming(context.Background(), asked)
	sum := openai.ChatCompletionAccumulator{}
	for stream.Next() {
		chunk := stream.Current()
		if !sum.AddChunk(chunk) {
			return nil, errors.New("the chunk does not go with those before it: " + chunk.RawJSON())
		}
		for _, choice := range chunk.Choices {
			told.Thinking += reasoning(choice.Delta.RawJSON())
			if choice.Delta.Content != "" {
				told.Pieces++
			}
		}
	}
	return &sum.ChatCompletion, stream.Err()
}

func openaiResponses(job Job, told *Told) error {
	client := openaiClient(job)
	input := responses.ResponseInputParam{
		responses.ResponseInputItemParamOfMessage(job.Prompt, responses.EasyInputMessageRoleUser),
	}
	asked := responses.ResponseNewParams{
		Model: job.Model, Instructions: openai.String("Be brief."), Store: openai.Bool(false),
	}
	if job.Tools {
		for _, name := range names {
			asked.Tools = append(asked.Tools, responses.ToolParamOfFunction(name, schema(), false))
		}
	}
	if job.Thinking {
		asked.Reasoning = shared.ReasoningParam{
			Effort: shared.ReasoningEffortHigh, Summary: shared.ReasoningSummaryAuto,
		}
		asked.Include = []responses.ResponseIncludable{"reasoning.encrypted_content"}
	}
	for {
		asked.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: input}
		whole, err := responsesAnswer(&client, job, asked, told)
		if err != nil {
			return err
		}
		if whole.Status != responses.ResponseStatusCompleted {
			return errors.New(string(whole.Status) + ": " + whole.Error.Message)
		}
		told.Finishes = append(told.Finishes, string(whole.Status))
		told.Input += whole.Usage.InputTokens
		told.Output += whole.Usage.OutputTokens
		told.Text = whole.OutputText()
		called := false
		for _, item := range whole.Output {
			given := param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(item.RawJSON()))
			input = append(input, given)
		}
		for _, item := range whole.Output {
			switch one := item.AsAny().(type) {
			case responses.ResponseReasoningItem:
				for _, part := range one.Summary {
					told.Thinking += part.Text
				}
			case responses.ResponseFunctionToolCall:
				called = true
				if err := told.call(one.Name, one.Arguments); err != nil {
					return err
				}
				given := responses.ResponseInputItemParamOfFunctionCallOutput(result(one.Name))
				given.OfFunctionCallOutput.CallID = openai.String(one.CallID)
				input = append(input, given)
			}
		}
		if !called {
			return nil
		}
	}
}

func responsesAnswer(
	client *openai.Client, job Job, asked responses.ResponseNewParams, told *Told,
) (*responses.Response, error) {
	if !job.Stream {
		return client.Responses.New(context.Background(), asked)
	}
	stream := client.Responses.NewStreaming(context.Background(), asked)
	var whole *responses.Response
	for stream.Next() {
		switch event := stream.Current().AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			told.Pieces++
		case responses.ResponseCompletedEvent:
			whole = &event.Response
		case responses.ResponseFailedEvent:
			whole = &event.Response
		case responses.ResponseErrorEvent:
			return nil, errors.New(event.Code + ": " + event.Message)
		}
	}
	if stream.Err() == nil && whole == nil {
		return nil, errors.New("the stream ended without its last event")
	}
	return whole, stream.Err()
}
