// Server-Sent Events of a fetch: EventSource sends no headers and no body.
import { ApiError, call, networkError } from "./api.js";
import { S } from "./strings.js";

// Yields {event, data, id}, `data` as JSON. https://html.spec.whatwg.org/multipage/server-sent-events.html
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", name = "", id = "", lines = [];
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : networkError();
      });
      if (done) return;
      rest += value;
      // A CR at the end may be half of a CRLF.
      const parts = rest.split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop();
      for (const line of parts) {
        if (line === "") {
          if (lines.length) yield { event: name || "message", data: JSON.parse(lines.join("\n")), id };
          name = "";
          lines = [];
          continue;
        }
        const [, field, text] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (field === "data") lines.push(text);
        else if (field === "event") name = text;
        else if (field === "id") id = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export const cutError = (requestId = "") => new ApiError({ message: S.errors.cut, code: "cut", requestId });

// How a turn reaches the server and comes back. `send` yields the events of /api/chat: `runs` puts another in its place.
// `post` resolves to the answer to the question: `attach` puts one in its place that sends files.
export const transport = {
  async *send(body, signal, turn) {
    yield* events(await transport.post(body, signal, turn));
  },
  post(body, signal) {
    return call("/api/chat", { method: "POST", json: body, signal });
  },
  // Ends a turn at the server, where leaving does not.
  stop() {},
};
