import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.anthropic.AnthropicChatModel;
import dev.langchain4j.model.anthropic.AnthropicStreamingChatModel;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.PartialThinking;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.googleai.GeminiThinkingConfig;
import dev.langchain4j.model.googleai.GoogleAiGeminiChatModel;
import dev.langchain4j.model.googleai.GoogleAiGeminiStreamingChatModel;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiResponsesChatModel;
import dev.langchain4j.model.openai.OpenAiResponsesStreamingChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** LangChain4j's models. */
final class LangChain {
  private LangChain() {}

  /** The two faces of a model: one of them is null. */
  record Model(ChatModel whole, StreamingChatModel streamed) {}

  static final Map<String, Function<Job, Model>> MODELS =
      Map.of(
          "langchain4j-anthropic", LangChain::anthropic,
          "langchain4j-openai-chat", LangChain::chat,
          "langchain4j-responses", LangChain::responses,
          "langchain4j-gemini", LangChain::gemini);

  private static Model anthropic(Job job) {
    String url = job.base() + "/v1";
    String thinking = job.thinking() ? "enabled" : null;
    Integer budget = job.thinking() ? 2048 : null;
    if (job.stream()) {
      var made = AnthropicStreamingChatModel.builder().baseUrl(url).apiKey(job.key()).modelName(job.model());
      made.maxTokens(8000).thinkingType(thinking).thinkingBudgetTokens(budget);
      return new Model(null, made.returnThinking(true).sendThinking(true).build());
    }
    var made = AnthropicChatModel.builder().baseUrl(url).apiKey(job.key()).modelName(job.model());
    made.maxTokens(8000).maxRetries(0).thinkingType(thinking).thinkingBudgetTokens(budget);
    return new Model(made.returnThinking(true).sendThinking(true).build(), null);
  }

  private static Model chat(Job job) {
    String url = job.base() + "/v1";
    String effort = job.thinking() ? "high" : null;
    if (job.stream()) {
      var made = OpenAiStreamingChatModel.builder().baseUrl(url).apiKey(job.key()).modelName(job.model());
      return new Model(null, made.reasoningEffort(effort).returnThinking(true).sendThinking(true).build());
    }
    var made = OpenAiChatModel.builder().baseUrl(url).apiKey(job.key()).modelName(job.model()).maxRetries(0);
    return new Model(made.reasoningEffort(effort).returnThinking(true).sendThinking(true).build(), null);
  }

  private static Model responses(Job job) {
    String url = job.base() + "/v1";
    if (job.stream()) {
      var made = OpenAiResponsesStreamingChatModel.builder().baseUrl(url).apiKey(job.key());
      return new Model(null, made.modelName(job.model()).store(false).build());
    }
    var made = OpenAiResponsesChatModel.builder().baseUrl(url).apiKey(job.key());
    return new Model(made.modelName(job.model()).store(false).build(), null);
  }

  private static Model gemini(Job job) {
    String url = job.base() + "/v1beta";
    var thinking =
        job.thinking()
            ? GeminiThinkingConfig.builder().includeThoughts(true).thinkingBudget(2048).build()
            : null;
    if (job.stream()) {
      var made = GoogleAiGeminiStreamingChatModel.builder().baseUrl(url).apiKey(job.key());
      made.modelName(job.model()).thinkingConfig(thinking).returnThinking(true).sendThinking(true);
      return new Model(null, made.build());
    }
    var made = GoogleAiGeminiChatModel.builder().baseUrl(url).apiKey(job.key()).maxRetries(0);
    made.modelName(job.model()).thinkingConfig(thinking).returnThinking(true).sendThinking(true);
    return new Model(made.build(), null);
  }

  static void run(Job job, Job.Told told) throws Exception {
    Model model = MODELS.get(job.client()).apply(job);
    List<ToolSpecification> tools = new ArrayList<>();
    for (String name : job.tools() ? Job.NAMES : List.<String>of()) {
      var schema = JsonObjectSchema.builder().addStringProperty("path").required("path").build();
      tools.add(ToolSpecification.builder().name(name).description(name).parameters(schema).build());
    }
    List<ChatMessage> messages = new ArrayList<>();
    messages.add(SystemMessage.from("Be brief."));
    messages.add(UserMessage.from(job.prompt()));
    while (true) {
      var request = ChatRequest.builder().messages(messages).toolSpecifications(tools).build();
      ChatResponse answer =
          job.stream() ? streamed(model.streamed(), request, told) : model.whole().chat(request);
      var message = answer.aiMessage();
      told.finishes.add(String.valueOf(answer.finishReason()));
      told.input += answer.tokenUsage().inputTokenCount();
      told.output += answer.tokenUsage().outputTokenCount();
      told.text = message.text() == null ? "" : message.text();
      if (!job.stream() && message.thinking() != null) {
        told.thinking += message.thinking();
      }
      messages.add(message);
      if (!message.hasToolExecutionRequests()) {
        return;
      }
      for (var call : message.toolExecutionRequests()) {
        told.call(call.name(), call.arguments());
        messages.add(ToolExecutionResultMessage.from(call, Job.result(call.name())));
      }
    }
  }

  private static ChatResponse streamed(StreamingChatModel model, ChatRequest request, Job.Told told)
      throws Exception {
    var done = new CompletableFuture<ChatResponse>();
    model.chat(
        request,
        new StreamingChatResponseHandler() {
          @Override
          public void onPartialResponse(String text) {
            told.pieces++;
          }

          @Override
          public void onPartialThinking(PartialThinking thinking) {
            told.thinking += thinking.text();
          }

          @Override
          public void onCompleteResponse(ChatResponse answer) {
            done.complete(answer);
          }

          @Override
          public void onError(Throwable error) {
            done.completeExceptionally(error);
          }
        });
    try {
      return done.get(20, TimeUnit.SECONDS);
    } catch (ExecutionException error) {
      throw error.getCause() instanceof Exception cause ? cause : error;
    }
  }
}
