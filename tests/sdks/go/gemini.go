package main

import (
	"context"
	"encoding/json"
	"errors"

	"google.golang.org/genai"
)

func googleGemini(job Job, told *Told) error {
	once := int32(1)
	client, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		APIKey:  job.Key,
		Backend: genai.BackendGeminiAPI,
		HTTPOptions: genai.HTTPOptions{
			BaseURL: job.Base, RetryOptions: &genai.HTTPRetryOptions{Attempts: &once},
		},
	})
	if err != nil {
		return err
	}
	config := &genai.GenerateContentConfig{
		SystemInstruction: genai.NewContentFromText("Be brief.", genai.RoleUser),
	}
	if job.Tools {
		var declared []*genai.FunctionDeclaration
		for _, name := range names {
			declared = append(declared, &genai.FunctionDeclaration{Name: name, ParametersJsonSchema: schema()})
		}
		config.Tools = []*genai.Tool{{FunctionDeclarations: declared}}
	}
	if job.Thinking {
		budget := int32(2048)
		config.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: true, ThinkingBudget: &budget}
	}
	contents := []*genai.Content{genai.NewContentFromText(job.Prompt, genai.RoleUser)}
	for {
		parts, err := geminiParts(client, job, contents, config, told)
		if err != nil {
			return err
		}
		told.Text = ""
		var results []*genai.Part
		for _, part := range parts {
			switch {
			case part.Thought:
				told.Thinking += part.Text
			case part.FunctionCall != nil:
				call := part.FunctionCall
				arguments, err := json.Marshal(call.Args)
				if err != nil {
					return err
				}
				if err := told.call(call.Name, string(arguments)); err != nil {
					return err
				}
				given := genai.NewPartFromFunctionResponse(call.Name, map[string]any{"output": result(call.Name)})
				given.FunctionResponse.ID = call.ID
				results = append(results, given)
			default:
				told.Text += part.Text
				told.Pieces++
			}
		}
		if results == nil {
			return nil
		}
		contents = append(contents,
			genai.NewContentFromParts(parts, genai.RoleModel), genai.NewContentFromParts(results, genai.RoleUser))
	}
}

func geminiParts(
	client *genai.Client, job Job, contents []*genai.Content, config *genai.GenerateContentConfig, told *Told,
) ([]*genai.Part, error) {
	var chunks []*genai.GenerateContentResponse
	if job.Stream {
		for chunk, err := range client.Models.GenerateContentStream(context.Background(), job.Model, contents, config) {
			if err != nil {
				return nil, err
			}
			chunks = append(chunks, chunk)
		}
	} else {
		whole, err := client.Models.GenerateContent(context.Background(), job.Model, contents, config)
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, whole)
	}
	var parts []*genai.Part
	finish := genai.FinishReason("")
	var usage *genai.GenerateContentResponseUsageMetadata
	for _, chunk := range chunks {
		if chunk.UsageMetadata != nil {
			usage = chunk.UsageMetadata
		}
		for _, one := range chunk.Candidates {
			if one.Content != nil {
				parts = append(parts, one.Content.Parts...)
			}
			if one.FinishReason != "" {
				finish = one.FinishReason
			}
		}
	}
	if finish == "" || usage == nil {
		return nil, errors.New("the answer has no end")
	}
	told.Finishes = append(told.Finishes, string(finish))
	told.Input += int64(usage.PromptTokenCount)
	told.Output += int64(usage.CandidatesTokenCount + usage.ThoughtsTokenCount)
	return parts, nil
}
