import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;

/** One conversation: a prompt, and if the answer calls tools, their results and the answer to them. */
record Job(
    int id,
    String client,
    String base,
    String key,
    String model,
    String prompt,
    boolean stream,
    boolean tools,
    boolean thinking) {

  static final ObjectMapper JSON = new ObjectMapper();
  static final List<String> NAMES = List.of("Read", "Grep");
  static final String SCHEMA =
      """
      {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"],
       "additionalProperties": false}""";

  /** What a tool returns. */
  static String result(String name) {
    return "result of " + name;
  }

  /** JSON from text whose single quotes stand for double ones. */
  static JsonNode json(String text) throws JsonProcessingException {
    return JSON.readTree(text.replace('\'', '"'));
  }

  record Call(@JsonProperty("name") String name, @JsonProperty("arguments") JsonNode arguments) {}

  record Failure(@JsonProperty("kind") String kind, @JsonProperty("message") String message) {}

  /** The sum of a conversation's answers: the last text, and all thinking and calls. */
  static final class Told {
    public String text = "";
    public String thinking = "";
    public List<Call> calls = new ArrayList<>();
    public int pieces;
    public long input;
    public long output;
    public List<String> finishes = new ArrayList<>();

    void call(String name, String arguments) throws JsonProcessingException {
      calls.add(new Call(name, JSON.readTree(arguments)));
    }
  }
}
