// What a person decides, key by key: correct a caption, fine, exclude, later, undo. Only with loss-logging view --edit.
const DECIDED = { fine: "fine", exclude: "excluded", caption: "corrected", later: "for later" };
const UNDONE = "loss_logging-undo";

class Editing {
  constructor(source, details, table) {
    Object.assign(this, { source, details, table });
    this.decided = new Map();
    this.queue = [];
    document.removeEventListener("keydown", keepEarly);
    this.waiting = early.filter((pressed) => pressed in this.commands);
    this.busy = true; // until what there is to look at is known
    this.past = JSON.parse(sessionStorage.getItem(UNDONE) ?? "[]");
    details.editing = this;
    $("look").addEventListener("click", () => (this.busy ? this.waiting.push("j") : this.run("j")));
    $("help-close").addEventListener("click", () => $("help").close());
    $("help-open").addEventListener("click", () => $("help").showModal());
    document.addEventListener("keydown", (event) => this.pressed(event));
    details.dialog.addEventListener("close", () => table.renew(table.source));
  }

  /** What there is to look at, and what was decided so far. */
  async load() {
    const { queue, decided } = await fetchJson("api/queue");
    this.queue = queue.map(([dataset, path]) => ({ dataset, path }));
    this.decided = new Map(decided.map(([dataset, path, decision]) => [key(dataset, path), decision]));
    this.show();
    await this.goOn();
  }

  of({ dataset, path }) {
    return this.decided.get(key(dataset, path)) ?? "";
  }

  /** Progress, and a mark on every card and line of what was decided. */
  show() {
    const looked = this.queue.filter((item) => this.of(item)).length;
    $("progress").textContent = this.queue.length ? `${count(looked)} of ${count(this.queue.length)} looked at` : "";
    $("look").textContent = !this.queue.length ? "Nothing to look at" : looked ? `Go on: ${$("progress").textContent}` : `Look at ${count(this.queue.length)} ${this.queue.length === 1 ? "item" : "items"}`;
    $("look").disabled = !this.queue.length;
    for (const button of document.querySelectorAll("button.open[data-path]")) this.mark(button);
  }

  mark(button) {
    const place = button.closest(".card, li") ?? button;
    const decision = this.of(button.dataset);
    if ((place.dataset.decision ?? "") === decision) return;
    place.dataset.decision = decision;
    place.querySelector(".decision")?.remove();
    if (decision) button.after(element("p", { className: "chips decision" }, element("span", { className: `chip ${decision}`, textContent: DECIDED[decision] })));
  }

  // --- keys -----------------------------------------------------------------------------------------------------------

  pressed(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const box = event.target.closest("textarea.edit");
    if (!box && event.target.closest("input, select, textarea, .scroll")) return;
    if (this.busy) { // what is typed while the next one comes is for that one
      if (event.key.length === 1 || event.key === "Enter") this.waiting.push(event.key);
      return event.preventDefault();
    }
    if (box ? ["Enter", "Escape"].includes(event.key) && !event.shiftKey : event.key in this.commands) {
      event.preventDefault();
      if ($("help").open) $("help").close(); // who has read the keys uses them
      this.run(event.key);
    }
  }

  commands = {
    j: () => this.go(1),
    k: () => this.go(-1),
    e: () => this.details.dialog.open && this.open(),
    a: () => this.suggestion && this.decide("caption", this.suggestion),
    f: () => this.decide("fine"),
    x: () => this.decide("exclude"),
    l: () => this.decide("later"),
    u: () => this.undo(),
    "?": () => $("help").showModal(),
  };

  async run(pressed) {
    this.busy = true;
    try {
      if (this.box && pressed === "Enter") await this.save();
      else if (this.box && pressed === "Escape") this.close();
      else if (this.box && pressed.length === 1) this.box.setRangeText(pressed, this.box.selectionStart, this.box.selectionEnd, "end");
      else await this.commands[pressed]?.();
    } catch (error) {
      toast(`loss-logging view does not answer (${error.message}); nothing was changed.`);
    }
    await this.goOn();
  }

  /** What was typed in the meantime. */
  async goOn() {
    this.busy = false;
    if (this.waiting.length) await this.run(this.waiting.shift());
  }

  /** The next item; from the page the first one of the queue that nobody has looked at. */
  async go(by) {
    const { details } = this;
    if (details.dialog.open) return details.go(by);
    if (!this.queue.length) return toast("Nothing to look at");
    const place = this.queue.findIndex((item) => !this.of(item));
    await details.open(this.queue[Math.max(0, place)], this.queue);
  }

  // --- one item ---------------------------------------------------------------------------------------------------------

  /** The item's caption as it is on disk, what can be done with it, and what it should say. */
  async panel(row) {
    this.close();
    const found = await fetchJson(`api/edited?${new URLSearchParams({ dataset: row.dataset, path: row.path })}`);
    Object.assign(this, { row, state: found.state, why: found.why, suggestion: found.suggestion || "" });
    const keyed = (command, title, enabled = true) => {
      const button = element("button", { type: "button", disabled: !enabled }, element("kbd", { textContent: command }), ` ${title}`);
      button.addEventListener("click", () => this.run(command));
      return button;
    };
    const text = this.state.caption ?? row.caption ?? "";
    this.text = element("p", { className: "caption", dir: "auto", textContent: text.trim() ? text : "(an empty caption)" });
    this.problem = element("p", { className: "problem", role: "alert", hidden: !found.why, textContent: found.why ?? "" });
    const suggested = element("p", { className: "suggestion" }, element("b", { textContent: "Suggestion " }), element("span", { dir: "auto", textContent: this.suggestion }));
    const others = found.shared?.length ? `. It is the caption of ${found.shared.join(", ")}, too` : "";
    const where = found.source ? `In ${found.source}${others}` : "It has no caption file yet; one is made beside it";
    return element("div", { className: "editing" }, this.text, this.problem, ...(this.suggestion ? [suggested] : []),
      element("p", { className: "controls decisions" }, keyed("e", "Edit", !found.why), ...(this.suggestion ? [keyed("a", "Accept suggestion")] : []),
        keyed("f", "Fine"), keyed("x", "Exclude"), keyed("l", "Later"), keyed("u", "Undo", this.past.length > 0), keyed("?", "Keys")),
      element("p", { className: "hint source" }, this.chip(), found.why ? "" : where));
  }

  chip() {
    return element("span", { className: "chips" }, ...(this.state.decision ? [element("span", { className: `chip ${this.state.decision}`, textContent: DECIDED[this.state.decision] })] : []));
  }

  /** A box with the caption, all of it selected: typing replaces it. */
  open(text = this.state.caption ?? "") {
    if (this.why) return toast(this.why);
    this.box = element("textarea", { className: "edit", value: text, rows: 4, dir: "auto", ariaLabel: "Caption", maxLength: 100_000, spellcheck: true });
    const button = (title, pressed) => {
      const made = element("button", { type: "button", textContent: title });
      made.addEventListener("click", () => this.run(pressed));
      return made;
    };
    this.form = element("div", { className: "form" }, this.box, element("p", { className: "controls" }, button("Save and go on", "Enter"), button("Leave it", "Escape"), element("span", { className: "hint", textContent: "Shift+Enter begins a new line" })));
    this.text.replaceWith(this.form);
    this.box.focus();
    this.box.select();
  }

  close() {
    if (this.box) this.form.replaceWith(this.text);
    this.box = this.form = null;
  }

  async save() {
    const text = this.box.value;
    if (text === (this.state.caption ?? "")) return this.close();
    if (await this.decide("caption", text)) this.close();
  }

  // --- decisions ------------------------------------------------------------------------------------------------------

  /** Keep a decision and go on to the next item; where somebody else was quicker, say so and change nothing. */
  async decide(decision, caption = this.state?.caption ?? null) {
    if (!this.details.dialog.open) return toast("Open an item first: j");
    const { dataset, path } = this.row;
    const before = this.state;
    const done = await this.send({ dataset, path, seen: before, wanted: { caption, decision } });
    if (!done) return false;
    this.past.push({ dataset, path, before, after: done.state });
    this.keep({ dataset, path }, done.state);
    const { details } = this;
    if (details.place < details.others.length - 1) await details.go(1);
    else {
      await details.show(this.row);
      toast("This was the last one");
    }
    return true;
  }

  async undo() {
    const step = this.past.pop();
    if (!step) return toast("Nothing to undo");
    const { dataset, path, before, after } = step;
    const done = await this.send({ dataset, path, seen: after, wanted: before });
    if (!done) return toast("It cannot be undone: it was changed by somebody else since.");
    this.keep({ dataset, path }, done.state);
    const place = this.queue.findIndex((item) => item.path === path && item.dataset === dataset);
    await this.details.open({ dataset, path }, place < 0 ? undefined : this.queue);
    toast("Undone");
  }

  keep({ dataset, path }, state) {
    if (state.decision) this.decided.set(key(dataset, path), state.decision);
    else this.decided.delete(key(dataset, path));
    for (const button of document.querySelectorAll(".card button.open")) {
      if (button.dataset.path === path && button.dataset.dataset === dataset) button.closest(".card").querySelector(".caption").textContent = state.caption?.trim() ? state.caption : "(an empty caption)";
    }
    try {
      sessionStorage.setItem(UNDONE, JSON.stringify(this.past.slice(-1000)));
    } catch {
      // then undo lasts until the page is closed
    }
    this.show();
  }

  async send(change) {
    const response = await fetch("api/change", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change) });
    if (response.ok) return response.json();
    const isJson = response.headers.get("Content-Type")?.includes("json");
    const answer = isJson ? await response.json() : { problem: await response.text() };
    this.say(answer);
    return null;
  }

  /** Why nothing was changed. After a conflict the newer caption is shown, and what was typed stays to be saved again. */
  say({ problem, state }) {
    if (!this.problem) return toast(problem);
    const differs = state && state.caption !== this.state.caption;
    this.problem.textContent = differs ? `${problem} Its caption is now: ${state.caption || "(empty)"}` : problem;
    this.problem.hidden = false;
    if (!state) return;
    this.state = state;
    this.text.textContent = state.caption?.trim() ? state.caption : "(an empty caption)";
  }
}
