// Answers of the server, or of the recording that a static copy carries.

const recording = document.getElementById("recording");
const recorded = recording ? JSON.parse(recording.textContent) : null;

export const isStatic = recorded !== null;

export class Refused extends Error {}

const KINDS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array, uint16: Uint16Array };

// The binary form of rnn2vec.explorer.packing: the header's values, and each array under its name.
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  for (const { name, dtype, shape, offset } of header.arrays) {
    const count = shape.reduce((product, size) => product * size, 1);
    header[name] = Object.assign(new KINDS[dtype](buffer, 4 + length + offset, count), { shape });
  }
  return header;
}

function path(view, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters || {})) {
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, one);
  }
  const text = query.toString();
  return `api/${view}${text ? `?${text}` : ""}`;
}

function replay(address) {
  const found = recorded.answers[address];
  if (found === undefined) {
    throw new Refused("This static copy does not hold that answer. `rnn2vec explore` on the collection itself does.");
  }
  const bytes = Uint8Array.from(atob(found.body), (letter) => letter.charCodeAt(0));
  return found.json ? JSON.parse(new TextDecoder().decode(bytes)) : unpack(bytes.buffer);
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Refused("The explorer does not answer. Is `rnn2vec explore` still running?");
  }
  if (response.ok) return response;
  const text = await response.text();
  let problem = text;
  try {
    const { problem: what, remedy } = JSON.parse(text);
    problem = `${what}: ${remedy}`;
  } catch {
    // plain text: what a proxy or the guard says
  }
  throw new Refused(problem);
}

async function content(response) {
  const isJson = response.headers.get("content-type").startsWith("application/json");
  return isJson ? response.json() : unpack(await response.arrayBuffer());
}

export async function get(view, parameters) {
  const address = path(view, parameters);
  if (isStatic) return replay(address);
  return content(await send(address));
}

// Waits for what is computed in the background; `onWait` is told of the seconds, and may give up by returning false.
export async function whenReady(view, parameters, onWait) {
  for (let pause = 150; ; pause = Math.min(1500, pause * 1.4)) {
    const answer = await get(view, parameters);
    if (!answer.pending) return answer;
    if (onWait && onWait(answer.seconds) === false) return null;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

export async function post(view, body, parameters) {
  if (isStatic) throw new Refused("A static copy cannot be asked anew. `rnn2vec explore` on the collection itself can.");
  const isRaw = body instanceof Blob || body instanceof ArrayBuffer;
  return content(await send(path(view, parameters), { method: "POST", body: isRaw ? body : JSON.stringify(body) }));
}

export async function download(view, body, parameters) {
  if (isStatic) throw new Refused("A static copy cannot write files of a selection. `rnn2vec explore` can.");
  return (await send(path(view, parameters), { method: "POST", body })).blob();
}
