// Stands in for ComfyUI's scripts/api.js: the members this pack uses.
class Api extends EventTarget {
  clientId = "page-1";

  apiURL(route) {
    return `/api${route}`;
  }

  fetchApi(route, options) {
    return fetch(this.apiURL(route), options);
  }

  /** What the host does with a message from its server. */
  say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const api = new Api();
