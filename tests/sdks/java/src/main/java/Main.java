import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * The SDKs of Java: a job a line on standard input, what each understood a line on standard output. The SDKs
 * of Anthropic and OpenAI validate all that they are sent.
 */
public final class Main {
  interface Client {
    void run(Job job, Job.Told told) throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    Map<String, Client> clients = new HashMap<>();
    clients.put("anthropic", Vendors::anthropic);
    clients.put("openai-chat", Vendors::chat);
    clients.put("openai-responses", Vendors::responses);
    clients.put("gemini", Vendors::gemini);
    LangChain.MODELS.keySet().forEach(name -> clients.put(name, LangChain::run));
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Job job = Job.JSON.readValue(line, Job.class);
      Job.Told told = new Job.Told();
      ObjectNode report;
      try {
        clients.get(job.client()).run(job, told);
        report = Job.JSON.valueToTree(told);
      } catch (Exception error) {
        report = Job.JSON.createObjectNode();
        report.set("error", Job.JSON.valueToTree(failure(error)));
      }
      out.println(report.put("id", job.id()));
    }
    System.exit(0);
  }

  private static Job.Failure failure(Throwable error) {
    StringBuilder words = new StringBuilder();
    for (Throwable one = error; one != null; one = one.getCause()) {
      words.append(one).append(" / ");
    }
    return new Job.Failure(error.getClass().getSimpleName(), words.toString());
  }
}
