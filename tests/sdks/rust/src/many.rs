//! genai, one client for all dialects.

use crate::{result, schema, Call, Done, Job, Told, NAMES};
use futures::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, MessageContent, ReasoningEffort, Tool,
    ToolResponse, Usage,
};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};

fn client(job: &Job) -> Client {
    let (kind, path) = match job.client.as_str() {
        "genai-anthropic" => (AdapterKind::Anthropic, "/v1/"),
        "genai-openai-chat" => (AdapterKind::OpenAI, "/v1/"),
        "genai-responses" => (AdapterKind::OpenAIResp, "/v1/"),
        _ => (AdapterKind::Gemini, "/v1beta/"),
    };
    let (url, key) = (format!("{}{path}", job.base), job.key.clone());
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(url.clone()),
                auth: AuthData::from_single(key.clone()),
                model: ModelIden::new(kind, target.model.model_name),
            })
        },
    );
    Client::builder().with_service_target_resolver(resolver).build().expect("a client")
}

struct Answer {
    content: MessageContent,
    thinking: Option<String>,
    usage: Usage,
}

pub async fn run(job: &Job, told: &mut Told) -> Done {
    let client = client(job);
    let mut options = ChatOptions::default()
        .with_capture_content(true)
        .with_capture_usage(true)
        .with_capture_tool_calls(true)
        .with_capture_reasoning_content(true)
        .with_max_tokens(40000);
    if job.thinking {
        options = options.with_reasoning_effort(ReasoningEffort::High);
    }
    let mut asked = ChatRequest::from_user(job.prompt.clone()).with_system("Be brief.");
    if job.tools {
        asked = asked.with_tools(NAMES.map(|name| Tool::new(name).with_description(name).with_schema(schema())));
    }
    loop {
        let answer = if job.stream {
            streamed(&client, job, asked.clone(), &options, told).await?
        } else {
            let whole = client.exec_chat(&job.model, asked.clone(), Some(&options)).await?;
            Answer { content: whole.content, thinking: whole.reasoning_content, usage: whole.usage }
        };
        told.input += i64::from(answer.usage.prompt_tokens.unwrap_or(0));
        told.output += i64::from(answer.usage.completion_tokens.unwrap_or(0));
        told.text = answer.content.texts().concat();
        told.thinking += answer.thinking.as_deref().unwrap_or("");
        let calls: Vec<_> = answer.content.tool_calls().into_iter().cloned().collect();
        let shown = if answer.content.contains_reasoning_content() { None } else { answer.thinking };
        asked = asked.append_message(ChatMessage::assistant(answer.content).with_reasoning_content(shown));
        if calls.is_empty() {
            return Ok(());
        }
        for call in calls {
            let given = ToolResponse::new(call.call_id.clone(), result(&call.fn_name));
            asked = asked.append_message(given);
            told.calls.push(Call { name: call.fn_name, arguments: call.fn_arguments });
        }
    }
}

async fn streamed(
    client: &Client,
    job: &Job,
    asked: ChatRequest,
    options: &ChatOptions,
    told: &mut Told,
) -> Result<Answer, Box<dyn std::error::Error>> {
    let mut stream = client.exec_chat_stream(&job.model, asked, Some(options)).await?.stream;
    while let Some(event) = stream.next().await {
        match event? {
            ChatStreamEvent::Chunk(_) => told.pieces += 1,
            ChatStreamEvent::End(end) => {
                return Ok(Answer {
                    content: end.captured_content.ok_or("no content")?,
                    thinking: end.captured_reasoning_content,
                    usage: end.captured_usage.ok_or("no usage")?,
                });
            }
            _ => {}
        }
    }
    Err("the stream has no end".into())
}
