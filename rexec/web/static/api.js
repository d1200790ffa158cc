// Questions to the server that are asked once, beside the stream.

import { parseFrame } from "./frame.js";

/** The answer to a question: a header with `problem` if there is none, and `isLost` if a later one may have it. */
export async function ask(path, parameters, signal) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  try {
    const response = await fetch(`${path}?${query}`, { signal });
    if (!response.ok) return { problem: (await response.text()).slice(0, 500), isLost: response.status >= 500, arrays: [] };
    return parseFrame(await response.arrayBuffer());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { problem: "The server did not answer.", isLost: true, arrays: [] };
  }
}
