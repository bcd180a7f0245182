// What a reader looks at is in the address behind "#", so that it can be sent to somebody or kept: the save step, filters,
// the item. Nothing of it leaves the machine: what is behind "#" is sent to no server.
const Address = {
  values: new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : ""),

  get(name) {
    return this.values.get(name) ?? "";
  },

  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (value === "" || value === null || value === undefined) this.values.delete(name);
      else this.values.set(name, value);
    }
    // A browser takes milliseconds for each, and refuses what comes too often.
    if (this.text() !== this.written) history.replaceState(null, "", this.text() || location.pathname + location.search);
    this.written = this.text();
  },

  text(changes = {}) {
    const values = new URLSearchParams(this.values);
    for (const [name, value] of Object.entries(changes)) values.set(name, value);
    return values.size ? `#${values}` : "";
  },

  link(changes) {
    return location.href.split("#")[0] + this.text(changes);
  },
};

// Somebody has put another link to this page into its address: the browser itself would stay where it is.
addEventListener("hashchange", () => {
  if (location.hash.includes("=")) location.reload();
});

/** Links to a place on the page go there, and what the address holds stays. */
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  const place = link && document.getElementById(link.getAttribute("href").slice(1));
  if (!place) return;
  event.preventDefault();
  place.scrollIntoView();
  const title = place.querySelector("h2") ?? place;
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
});
