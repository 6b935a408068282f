//! The SDKs of Rust: a job a line on standard input, what each understood a line on standard output.
//! A job is a conversation: a prompt, and if the answer calls tools, their results and the answer to them.

mod many;
mod openai;

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::error::Error;
use std::io::BufRead;

#[derive(Deserialize)]
pub struct Job {
    id: u32,
    client: String,
    base: String,
    key: String,
    model: String,
    prompt: String,
    stream: bool,
    tools: bool,
    thinking: bool,
}

#[derive(Serialize)]
pub struct Call {
    name: String,
    arguments: Value,
}

/// The sum of a conversation's answers: the last text, and all thinking and calls.
#[derive(Default, Serialize)]
pub struct Told {
    text: String,
    thinking: String,
    calls: Vec<Call>,
    pieces: u32,
    input: i64,
    output: i64,
    finishes: Vec<String>,
}

pub type Done = Result<(), Box<dyn Error>>;

pub const NAMES: [&str; 2] = ["Read", "Grep"];

pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
        "additionalProperties": false,
    })
}

/// What a tool returns.
pub fn result(name: &str) -> String {
    format!("result of {name}")
}

async fn run(job: &Job, told: &mut Told) -> Done {
    match job.client.as_str() {
        "async-openai-chat" => openai::chat(job, told).await,
        "async-openai-responses" => openai::responses(job, told).await,
        _ => many::run(job, told).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        let mut told = Told::default();
        let mut report = match run(&job, &mut told).await {
            Ok(()) => serde_json::to_value(&told)?,
            Err(error) => json!({"error": {"kind": "Error", "message": format!("{error}: {error:?}")}}),
        };
        report["id"] = json!(job.id);
        println!("{report}");
    }
    Ok(())
}
