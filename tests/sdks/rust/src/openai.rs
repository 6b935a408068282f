//! async-openai, whose types have no room for what OpenAI would not send.

use crate::{result, schema, Call, Done, Job, Told, NAMES};
use async_openai::config::OpenAIConfig;
use async_openai::types::responses::ResponseStreamEvent;
use async_openai::Client;
use futures::StreamExt;
use serde_json::{json, Value};
use std::collections::BTreeMap;

fn client(job: &Job) -> Client<OpenAIConfig> {
    let base = format!("{}/v1", job.base);
    Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key(&job.key))
}

pub async fn chat(job: &Job, told: &mut Told) -> Done {
    let client = client(job);
    let mut messages = vec![
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": job.prompt}),
    ];
    loop {
        let mut asked = json!({"model": job.model, "messages": messages});
        if job.tools {
            let tools = NAMES.map(|name| {
                json!({"type": "function", "function": {"name": name, "parameters": schema()}})
            });
            asked["tools"] = json!(tools);
        }
        if job.thinking {
            asked["reasoning_effort"] = json!("high");
        }
        let message = if job.stream {
            asked["stream"] = json!(true);
            asked["stream_options"] = json!({"include_usage": true});
            streamed_chat(&client, asked, told).await?
        } else {
            let whole = client.chat().create(serde_json::from_value(asked)?).await?;
            let usage = whole.usage.ok_or("no usage")?;
            told.input += i64::from(usage.prompt_tokens);
            told.output += i64::from(usage.completion_tokens);
            let choice = whole.choices.into_iter().next().ok_or("no choice")?;
            told.finishes.push(format!("{:?}", choice.finish_reason.ok_or("no finish reason")?));
            serde_json::to_value(choice.message)?
        };
        told.text = message["content"].as_str().unwrap_or("").to_string();
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        messages.push(message);
        if calls.is_empty() {
            return Ok(());
        }
        for call in calls {
            let name = call["function"]["name"].as_str().unwrap_or("").to_string();
            let arguments = call["function"]["arguments"].as_str().unwrap_or("");
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result(&name)}));
            told.calls.push(Call { arguments: serde_json::from_str(arguments)?, name });
        }
    }
}

/// The message of a stream, its calls put together by their index.
async fn streamed_chat(
    client: &Client<OpenAIConfig>,
    asked: Value,
    told: &mut Told,
) -> Result<Value, Box<dyn std::error::Error>> {
    let mut stream = client.chat().create_stream(serde_json::from_value(asked)?).await?;
    let (mut text, mut finish) = (String::new(), None);
    let mut calls: BTreeMap<u32, (String, String, String)> = BTreeMap::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if let Some(usage) = chunk.usage {
            told.input += i64::from(usage.prompt_tokens);
            told.output += i64::from(usage.completion_tokens);
        }
        for choice in chunk.choices {
            finish = choice.finish_reason.or(finish);
            if let Some(piece) = choice.delta.content.filter(|piece| !piece.is_empty()) {
                told.pieces += 1;
                text += &piece;
            }
            for piece in choice.delta.tool_calls.unwrap_or_default() {
                let call = calls.entry(piece.index).or_default();
                call.0 += piece.id.as_deref().unwrap_or("");
                if let Some(function) = piece.function {
                    call.1 += function.name.as_deref().unwrap_or("");
                    call.2 += function.arguments.as_deref().unwrap_or("");
                }
            }
        }
    }
    told.finishes.push(format!("{:?}", finish.ok_or("the stream has no finish reason")?));
    let mut message = json!({"role": "assistant", "content": text});
    if !calls.is_empty() {
        let whole = calls.into_values().map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        message["tool_calls"] = whole.collect();
    }
    Ok(message)
}

pub async fn responses(job: &Job, told: &mut Told) -> Done {
    let client = client(job);
    let mut input = vec![json!({"type": "message", "role": "user", "content": job.prompt})];
    loop {
        let mut asked = json!({
            "model": job.model, "input": input, "instructions": "Be brief.", "store": false,
        });
        if job.tools {
            let tools = NAMES.map(|name| {
                json!({"type": "function", "name": name, "parameters": schema(), "strict": false})
            });
            asked["tools"] = json!(tools);
        }
        if job.thinking {
            asked["reasoning"] = json!({"effort": "high", "summary": "auto"});
            asked["include"] = json!(["reasoning.encrypted_content"]);
        }
        let whole = if job.stream {
            asked["stream"] = json!(true);
            let mut stream = client.responses().create_stream(serde_json::from_value(asked)?).await?;
            let mut whole = None;
            while let Some(event) = stream.next().await {
                match event? {
                    ResponseStreamEvent::ResponseOutputTextDelta(_) => told.pieces += 1,
                    ResponseStreamEvent::ResponseCompleted(event) => whole = Some(event.response),
                    ResponseStreamEvent::ResponseFailed(event) => {
                        return Err(format!("{:?}", event.response.error).into());
                    }
                    ResponseStreamEvent::ResponseError(event) => return Err(event.message.into()),
                    _ => {}
                }
            }
            whole.ok_or("the stream has no last event")?
        } else {
            client.responses().create(serde_json::from_value(asked)?).await?
        };
        let whole = serde_json::to_value(whole)?;
        told.finishes.push(whole["status"].as_str().unwrap_or("").to_string());
        told.input += whole["usage"]["input_tokens"].as_i64().unwrap_or(0);
        told.output += whole["usage"]["output_tokens"].as_i64().unwrap_or(0);
        told.text.clear();
        let mut results = Vec::new();
        for item in whole["output"].as_array().cloned().unwrap_or_default() {
            match item["type"].as_str().unwrap_or("") {
                "message" => {
                    for part in item["content"].as_array().unwrap_or(&Vec::new()) {
                        told.text += part["text"].as_str().unwrap_or("");
                    }
                }
                "reasoning" => {
                    for part in item["summary"].as_array().unwrap_or(&Vec::new()) {
                        told.thinking += part["text"].as_str().unwrap_or("");
                    }
                }
                _ => {
                    let name = item["name"].as_str().unwrap_or("").to_string();
                    let arguments = item["arguments"].as_str().unwrap_or("");
                    results.push(json!({
                        "type": "function_call_output", "call_id": item["call_id"], "output": result(&name),
                    }));
                    told.calls.push(Call { arguments: serde_json::from_str(arguments)?, name });
                }
            }
            input.push(item);
        }
        if results.is_empty() {
            return Ok(());
        }
        input.append(&mut results);
    }
}
