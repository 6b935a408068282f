// Calls of the admin API. Each brings the token along that this page was given; no other page knows it.

const token = document.querySelector('meta[name="ampproxy-page"]').content;

export async function call(path, { method = "GET", body } = {}) {
  const headers = { "X-Ampproxy-Page": token };
  return fetch(`/ampproxy/${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
}

export async function ask(path, options) {
  const answer = await call(path, options);
  const body = await answer.json();
  if (!answer.ok && answer.status !== 409) throw new Error(body.error || `status ${answer.status}`);
  return body;
}

// A view of the page, as a document; null: it is not to be had.
export async function shownBy(view) {
  const answer = await call(`page/${view}`).catch(() => null);
  return answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

// Server-sent events, read from a fetch: an EventSource cannot send the token.
export async function watch(path, onEvent, onState) {
  for (;;) {
    let wait = 2000;
    try {
      const answer = await call(path);
      if (!answer.ok) {
        const body = await answer.json().catch(() => ({}));
        onState(false, body.error || `status ${answer.status}`);
        wait = answer.status === 429 ? 10000 : 5000;
        // A token of an earlier process: the page itself has a new one.
        if (answer.status === 401 || answer.status === 403) return location.reload();
      } else {
        onState(true);
        await read(answer.body, onEvent);
        onState(false);
      }
    } catch {
      onState(false);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function read(stream, onEvent) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event);
      const data = /^data: (.*)$/m.exec(event);
      if (name && data) onEvent(name[1], JSON.parse(data[1]));
    }
  }
}
