// What modules tell each other, by name. docs/page.md lists the events.

const target = new EventTarget();

export function emit(name, detail = {}) {
  target.dispatchEvent(new CustomEvent(name, { detail }));
}

// Returns a function that ends it. Listeners run at once, in the order in which they came.
export function on(name, listener) {
  const heard = (event) => listener(event.detail);
  target.addEventListener(name, heard);
  return () => target.removeEventListener(name, heard);
}
