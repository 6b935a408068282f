package main

import (
	"context"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
)

func anthropicMessages(job Job, told *Told) error {
	client := anthropic.NewClient(
		option.WithAPIKey(job.Key), option.WithBaseURL(job.Base), option.WithMaxRetries(0),
	)
	asked := anthropic.MessageNewParams{
		Model:     anthropic.Model(job.Model),
		MaxTokens: 8000,
		System:    []anthropic.TextBlockParam{{Text: "Be brief."}},
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(job.Prompt))},
	}
	if job.Tools {
		for _, name := range names {
			tool := anthropic.ToolParam{Name: name, InputSchema: anthropic.ToolInputSchemaParam{
				Properties: schema()["properties"], Required: []string{"path"},
			}}
			asked.Tools = append(asked.Tools, anthropic.ToolUnionParam{OfTool: &tool})
		}
	}
	if job.Thinking {
		asked.Thinking = anthropic.ThinkingConfigParamOfEnabled(2048)
	}
	for {
		message, err := anthropicAnswer(&client, job, asked, told)
		if err != nil {
			return err
		}
		told.Finishes = append(told.Finishes, string(message.StopReason))
		told.Input += message.Usage.InputTokens
		told.Output += message.Usage.OutputTokens
		told.Text = ""
		var results []anthropic.ContentBlockParamUnion
		for _, block := range message.Content {
			switch one := block.AsAny().(type) {
			case anthropic.TextBlock:
				told.Text += one.Text
			case anthropic.ThinkingBlock:
				told.Thinking += one.Thinking
			case anthropic.ToolUseBlock:
				if err := told.call(one.Name, string(one.Input)); err != nil {
					return err
				}
				results = append(results, anthropic.NewToolResultBlock(one.ID, result(one.Name), false))
			}
		}
		if results == nil {
			return nil
		}
		asked.Messages = append(asked.Messages, message.ToParam(), anthropic.NewUserMessage(results...))
	}
}

func anthropicAnswer(
	client *anthropic.Client, job Job, asked anthropic.MessageNewParams, told *Told,
) (*anthropic.Message, error) {
	if !job.Stream {
		return client.Messages.New(context.Background(), asked)
	}
	stream := client.Messages.NewStreaming(context.Background(), asked)
	message := &anthropic.Message{}
	for stream.Next() {
		event := stream.Current()
		if err := message.Accumulate(event); err != nil {
			return nil, err
		}
		if event.Type == "content_block_delta" && event.Delta.Type == "text_delta" {
			told.Pieces++
		}
	}
	return message, stream.Err()
}
