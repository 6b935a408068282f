import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageCreateParams;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.genai.Client;
import com.google.genai.types.Content;
import com.google.genai.types.FunctionCall;
import com.google.genai.types.FunctionResponse;
import com.google.genai.types.GenerateContentConfig;
import com.google.genai.types.GenerateContentResponse;
import com.google.genai.types.HttpOptions;
import com.google.genai.types.HttpRetryOptions;
import com.google.genai.types.Part;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.ObjectMappers;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseStatus;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The vendors' own SDKs. Requests are written as JSON, what comes back goes back through their types. */
final class Vendors {
  private Vendors() {}

  static void anthropic(Job job, Job.Told told) throws Exception {
    var sdk =
        AnthropicOkHttpClient.builder()
            .apiKey(job.key())
            .baseUrl(job.base())
            .maxRetries(0)
            .responseValidation(true)
            .build();
    var mapper = com.anthropic.core.ObjectMappers.jsonMapper();
    ObjectNode asked = (ObjectNode) Job.json("{'max_tokens': 8000, 'system': 'Be brief.'}");
    asked.put("model", job.model());
    ArrayNode messages = asked.putArray("messages");
    messages.addObject().put("role", "user").put("content", job.prompt());
    if (job.tools()) {
      ArrayNode tools = asked.putArray("tools");
      for (String name : Job.NAMES) {
        tools.addObject().put("name", name).set("input_schema", Job.json(Job.SCHEMA));
      }
    }
    if (job.thinking()) {
      asked.set("thinking", Job.json("{'type': 'enabled', 'budget_tokens': 2048}"));
    }
    while (true) {
      var body = mapper.treeToValue(asked, MessageCreateParams.Body.class);
      var params = MessageCreateParams.builder().body(body).build();
      Message message;
      if (job.stream()) {
        var sum = MessageAccumulator.create();
        try (var stream = sdk.messages().createStreaming(params)) {
          stream.stream()
              .forEach(
                  event -> {
                    sum.accumulate(event);
                    if (event.contentBlockDelta().flatMap(one -> one.delta().text()).isPresent()) {
                      told.pieces++;
                    }
                  });
        }
        message = sum.message();
      } else {
        message = sdk.messages().create(params);
      }
      message.validate();
      told.finishes.add(message.stopReason().map(Object::toString).orElse(""));
      told.input += message.usage().inputTokens();
      told.output += message.usage().outputTokens();
      told.text = "";
      ArrayNode results = Job.JSON.createArrayNode();
      for (JsonNode block : mapper.valueToTree(message.content())) {
        switch (block.get("type").asText()) {
          case "text" -> told.text += block.get("text").asText();
          case "thinking" -> told.thinking += block.get("thinking").asText();
          case "tool_use" -> {
            String name = block.get("name").asText();
            told.call(name, block.get("input").toString());
            results
                .addObject()
                .put("type", "tool_result")
                .put("tool_use_id", block.get("id").asText())
                .put("content", Job.result(name));
          }
          default -> {
            // Thinking without a text.
          }
        }
      }
      if (results.isEmpty()) {
        return;
      }
      messages.add(mapper.<JsonNode>valueToTree(message.toParam()));
      messages.addObject().put("role", "user").set("content", results);
    }
  }

  private static OpenAIClient openai(Job job) {
    return OpenAIOkHttpClient.builder()
        .apiKey(job.key())
        .baseUrl(job.base() + "/v1")
        .maxRetries(0)
        .responseValidation(true)
        .build();
  }

  static void chat(Job job, Job.Told told) throws Exception {
    var sdk = openai(job);
    var mapper = ObjectMappers.jsonMapper();
    ObjectNode asked = Job.JSON.createObjectNode().put("model", job.model());
    ArrayNode messages = asked.putArray("messages");
    messages.addObject().put("role", "system").put("content", "Be brief.");
    messages.addObject().put("role", "user").put("content", job.prompt());
    if (job.tools()) {
      ArrayNode tools = asked.putArray("tools");
      for (String name : Job.NAMES) {
        ObjectNode function = tools.addObject().put("type", "function").putObject("function");
        function.put("name", name).set("parameters", Job.json(Job.SCHEMA));
      }
    }
    if (job.thinking()) {
      asked.put("reasoning_effort", "high");
    }
    if (job.stream()) {
      asked.set("stream_options", Job.json("{'include_usage': true}"));
    }
    while (true) {
      var body = mapper.treeToValue(asked, ChatCompletionCreateParams.Body.class);
      var params = ChatCompletionCreateParams.builder().body(body).build();
      ChatCompletion whole;
      if (job.stream()) {
        var sum = ChatCompletionAccumulator.create();
        try (var stream = sdk.chat().completions().createStreaming(params)) {
          stream.stream()
              .forEach(
                  chunk -> {
                    sum.accumulate(chunk);
                    for (var choice : chunk.choices()) {
                      told.pieces += choice.delta().content().filter(text -> !text.isEmpty()).isPresent() ? 1 : 0;
                      told.thinking += unknown(choice.delta()._additionalProperties());
                    }
                  });
        }
        whole = sum.chatCompletion();
      } else {
        whole = sdk.chat().completions().create(params);
        told.thinking += unknown(whole.choices().get(0).message()._additionalProperties());
      }
      whole.validate();
      var choice = whole.choices().get(0);
      told.finishes.add(choice.finishReason().asString());
      told.input += whole.usage().orElseThrow().promptTokens();
      told.output += whole.usage().orElseThrow().completionTokens();
      told.text = choice.message().content().orElse("");
      var calls = choice.message().toolCalls().orElse(List.of());
      messages.add(mapper.<JsonNode>valueToTree(choice.message().toParam()));
      if (calls.isEmpty()) {
        return;
      }
      for (var call : calls) {
        var function = call.asFunction();
        told.call(function.function().name(), function.function().arguments());
        messages
            .addObject()
            .put("role", "tool")
            .put("tool_call_id", function.id())
            .put("content", Job.result(function.function().name()));
      }
    }
  }

  /** Thinking is a member that the SDK has no type for. */
  private static String unknown(Map<String, com.openai.core.JsonValue> members) {
    var found = members.get("reasoning_content");
    return found == null ? "" : String.valueOf(found.asString().orElse(""));
  }

  static void responses(Job job, Job.Told told) throws Exception {
    var sdk = openai(job);
    var mapper = ObjectMappers.jsonMapper();
    ObjectNode asked = (ObjectNode) Job.json("{'instructions': 'Be brief.', 'store': false}");
    asked.put("model", job.model());
    ArrayNode input = asked.putArray("input");
    input.addObject().put("role", "user").put("content", job.prompt());
    if (job.tools()) {
      ArrayNode tools = asked.putArray("tools");
      for (String name : Job.NAMES) {
        ObjectNode tool = tools.addObject().put("type", "function").put("name", name);
        tool.put("strict", false).set("parameters", Job.json(Job.SCHEMA));
      }
    }
    if (job.thinking()) {
      asked.set("reasoning", Job.json("{'effort': 'high', 'summary': 'auto'}"));
      asked.set("include", Job.json("['reasoning.encrypted_content']"));
    }
    while (true) {
      var body = mapper.treeToValue(asked, ResponseCreateParams.Body.class);
      var params = ResponseCreateParams.builder().body(body).build();
      List<Response> ends = new ArrayList<>();
      if (job.stream()) {
        try (var stream = sdk.responses().createStreaming(params)) {
          stream.stream()
              .forEach(
                  event -> {
                    told.pieces += event.isOutputTextDelta() ? 1 : 0;
                    event.completed().ifPresent(one -> ends.add(one.response()));
                    event.failed().ifPresent(one -> ends.add(one.response()));
                    event.error().ifPresent(one -> { throw new IllegalStateException(one.message()); });
                  });
        }
      } else {
        ends.add(sdk.responses().create(params));
      }
      Response whole = ends.get(ends.size() - 1);
      whole.validate();
      if (!whole.status().equals(java.util.Optional.of(ResponseStatus.COMPLETED))) {
        throw new IllegalStateException(whole.status() + " " + whole.error());
      }
      told.finishes.add("completed");
      told.input += whole.usage().orElseThrow().inputTokens();
      told.output += whole.usage().orElseThrow().outputTokens();
      told.text = "";
      List<ObjectNode> results = new ArrayList<>();
      for (var item : whole.output()) {
        input.add(mapper.<JsonNode>valueToTree(item));
        if (item.isMessage()) {
          for (var part : item.asMessage().content()) {
            told.text += part.asOutputText().text();
          }
        } else if (item.isReasoning()) {
          for (var part : item.asReasoning().summary()) {
            told.thinking += part.text();
          }
        } else {
          var call = item.asFunctionCall();
          told.call(call.name(), call.arguments());
          ObjectNode given = Job.JSON.createObjectNode().put("type", "function_call_output");
          results.add(given.put("call_id", call.callId()).put("output", Job.result(call.name())));
        }
      }
      if (results.isEmpty()) {
        return;
      }
      input.addAll(results);
    }
  }

  static void gemini(Job job, Job.Told told) throws Exception {
    var once = HttpRetryOptions.builder().attempts(1).build();
    var options = HttpOptions.builder().baseUrl(job.base()).retryOptions(once).build();
    try (var sdk = Client.builder().apiKey(job.key()).vertexAI(false).httpOptions(options).build()) {
      ObjectNode config = (ObjectNode) Job.json("{'systemInstruction': {'parts': [{'text': 'Be brief.'}]}}");
      if (job.tools()) {
        ArrayNode declared = config.putArray("tools").addObject().putArray("functionDeclarations");
        for (String name : Job.NAMES) {
          declared.addObject().put("name", name).set("parametersJsonSchema", Job.json(Job.SCHEMA));
        }
      }
      if (job.thinking()) {
        config.set("thinkingConfig", Job.json("{'includeThoughts': true, 'thinkingBudget': 2048}"));
      }
      var settings = GenerateContentConfig.fromJson(config.toString());
      List<Content> contents = new ArrayList<>();
      contents.add(Content.builder().role("user").parts(Part.fromText(job.prompt())).build());
      while (true) {
        List<GenerateContentResponse> chunks = new ArrayList<>();
        if (job.stream()) {
          try (var stream = sdk.models.generateContentStream(job.model(), contents, settings)) {
            stream.forEach(chunks::add);
          }
        } else {
          chunks.add(sdk.models.generateContent(job.model(), contents, settings));
        }
        List<Part> parts = new ArrayList<>();
        String finish = null;
        long input = 0;
        long output = 0;
        for (var chunk : chunks) {
          for (var candidate : chunk.candidates().orElse(List.of())) {
            candidate.content().flatMap(Content::parts).ifPresent(parts::addAll);
            finish = candidate.finishReason().map(Object::toString).orElse(finish);
          }
          if (chunk.usageMetadata().isPresent()) {
            var usage = chunk.usageMetadata().get();
            input = usage.promptTokenCount().orElse(0);
            output = usage.candidatesTokenCount().orElse(0) + usage.thoughtsTokenCount().orElse(0);
          }
        }
        if (finish == null) {
          throw new IllegalStateException("The answer has no finish reason.");
        }
        told.finishes.add(finish);
        told.input += input;
        told.output += output;
        told.text = "";
        List<Part> results = new ArrayList<>();
        for (Part part : parts) {
          String text = part.text().orElse("");
          if (part.functionCall().isPresent()) {
            FunctionCall call = part.functionCall().get();
            String name = call.name().orElseThrow();
            told.call(name, Job.JSON.writeValueAsString(call.args().orElse(Map.of())));
            var given = FunctionResponse.builder().name(name).response(Map.of("output", Job.result(name)));
            call.id().ifPresent(given::id);
            results.add(Part.builder().functionResponse(given.build()).build());
          } else if (part.thought().orElse(false)) {
            told.thinking += text;
          } else {
            told.text += text;
            told.pieces++;
          }
        }
        if (results.isEmpty()) {
          return;
        }
        contents.add(Content.builder().role("model").parts(parts).build());
        contents.add(Content.builder().role("user").parts(results).build());
      }
    }
  }
}
