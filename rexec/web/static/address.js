// The address of the page is its state: view, filters, plots. So it can be shared, reloaded, and gone back from.

const listeners = [];

/** The parts of the path, and the parameters. */
export function current() {
  const path = location.pathname.split("/").filter(Boolean).map(decoded);
  return { view: path[0] || "live", rest: path.slice(1), query: new URLSearchParams(location.search) };
}

/** A part of a path; a typed address may have a % that encodes nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Go to another view, or with `replace` note a change of this one without a step for the back button. */
export function go(path, query = new URLSearchParams(), { replace = false, quiet = false } = {}) {
  const text = query.toString();
  const address = text ? `${path}?${text}` : path;
  if (address === location.pathname + location.search) return;
  try {
    history[replace ? "replaceState" : "pushState"](null, "", address);
  } catch {
    // Browsers limit how often the address changes: the next change is written again.
  }
  if (!quiet) for (const each of listeners) each();
}

export function onAddress(listener) {
  listeners.push(listener);
}

window.addEventListener("popstate", () => {
  for (const each of listeners) each();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.pathname, new URLSearchParams(link.search));
});
