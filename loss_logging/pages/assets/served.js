// The same questions, answered by loss-logging view; and what is new while training goes on.
const LOOK_MILLISECONDS = 3_000, LOOK_FOR_ROWS_MILLISECONDS = 200;

class ServedSource {
  static async open() {
    const state = await fetchJson("api/state"); // before all else: what changes from now on is shown by `follow`
    return new ServedSource(await fetchJson("api/about"), state);
  }

  constructor(about, state) {
    this.about = about;
    this.state = state;
    this.rules = about.rules;
    this.step = null;
  }

  async at(step) {
    this.step = step;
    Object.assign(this, { about: await fetchJson(this.address("api/about", {})) });
    this.rules = this.about.rules;
    return fetchJson(this.address("api/parts", {}));
  }

  pictureAt(path) {
    return this.address("image", { pixels: 256, path });
  }

  links(row) {
    const at = (kind) => this.address("file", { kind, path: row.path });
    return [["Open image", at("image")], ["Open caption file", at("caption")]];
  }

  columns() {
    return this.about.columns;
  }

  datasets() {
    return this.about.datasets;
  }

  allReasons() {
    return this.about.reasons;
  }

  address(path, values) {
    return `${path}?${new URLSearchParams(this.step === null ? values : { ...values, step: this.step })}`;
  }

  question({ bounds, ...rest }) {
    const limit = (value) => (Number.isFinite(value) ? value : null); // JSON has no infinity
    return JSON.stringify({ ...rest, bounds: bounds.map(({ field, low, high }) => ({ field, low: limit(low), high: limit(high) })) });
  }

  async query(request) {
    const { rows, total } = await fetchJson(this.address("api/items", { q: this.question(request) }));
    for (const row of rows) row.id = key(row.dataset, row.path);
    return { rows, total, note: this.note };
  }

  async all(filter, most) {
    const rows = [];
    for (let page = 1; rows.length < most; page++) {
      const found = await this.query({ ...filter, page, size: 1_000 });
      rows.push(...found.rows);
      if (found.rows.length < 1_000) break;
    }
    return rows;
  }

  downloadAll(filter, kind) {
    const { sort, ...asked } = filter;
    element("a", { href: this.address(kind === "csv" ? "items.csv" : "exclude.txt", { q: this.question(asked) }), download: "" }).click();
  }

  async find(dataset, path) {
    return fetchJson(this.address("api/item", { dataset, path }));
  }

  async history(dataset, path) {
    return fetchJson(this.address("api/history", { dataset, path }));
  }

  get hasHistory() {
    return Boolean($("losses"));
  }

  picture(row) {
    return this.address("image", { pixels: 512, path: row.path });
  }

  async whyNoPicture(row) {
    return (await fetch(this.address("image", { path: row.path }))).text();
  }
}

/** Say what the server is doing, and show what is new: everything that is seen is of one moment. */
async function follow(source, steps) {
  const live = new Live();
  for (;;) {
    try {
      const state = await fetchJson("api/state");
      live.show(state);
      $("busy").hidden = !state.busy;
      $("busy").textContent = `${state.busy}…`;
      source.note = [state.problem, state.step >= 0 && !steps.earlier && `Records up to step ${count(state.step)}`].filter(Boolean).join(" ");
      if (state.report_step !== source.state.report_step || state.version !== source.state.version) await renew(source, steps);
      else steps.table.status(source.note);
      source.state = state;
    } catch (error) {
      live.lost();
      steps.table.status(`loss-logging view does not answer (${error.message}); what is shown may be old.`);
    }
    const { version, busy } = source.state;
    await new Promise((done) => setTimeout(done, busy && !version ? LOOK_FOR_ROWS_MILLISECONDS : busy ? LOOK_MILLISECONDS / 3 : LOOK_MILLISECONDS));
  }
}

/** Ask anew for all that is shown. The charts come when the log is read for them. */
async function renew(source, steps) {
  await Promise.all([renewCharts(steps), renewFigures(source, steps)]);
}

async function renewCharts(steps) {
  const charts = await fetchJson("api/charts");
  steps.offer(charts.compared);
  steps.charts.show(charts);
}

/** An earlier save step does not change. */
async function renewFigures(source, steps) {
  if (steps.earlier) return;
  const { parts } = await source.at(null);
  steps.show(parts);
  await steps.table.renew(source);
  if (!steps.editing) await steps.details.renew(); // what is being edited stays
  else if (!steps.details.dialog.open) await steps.editing.load();
}

/** The sign of a run that goes on: its step, how fast it is, and how old what is shown is. */
class Live {
  constructor() {
    this.seen = [];
    setInterval(() => this.draw(), 1_000);
  }

  show(state) {
    const now = performance.now();
    const changed = this.state?.version !== state.version;
    if (changed) this.changed = now - 1_000 * state.age;
    if (changed && state.step >= 0) this.seen = [...this.seen, [now - 1_000 * state.age, state.step]].slice(-20);
    this.state = state;
    this.draw();
  }

  lost() {
    this.state = null;
    this.draw();
  }

  rate() {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    if (this.seen.length < 2 || last[1] <= first[1]) return "";
    const perSecond = (last[1] - first[1]) / ((last[0] - first[0]) / 1_000);
    return perSecond >= 1 ? `${figure(perSecond, 2)} steps/s` : `${figure(perSecond * 60, 2)} steps/min`;
  }

  draw() {
    const { state } = this;
    if (!state) {
      $("live").className = "lost";
      $("live").textContent = "no answer";
      return;
    }
    const seconds = Math.max(0, Math.round((performance.now() - this.changed) / 1_000));
    const age = seconds < 90 ? `${seconds} s` : seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
    $("live").className = state.live ? "live" : "";
    $("live").textContent = [state.live ? "live" : "not running", state.step >= 0 && `step ${count(state.step)}`, state.live && this.rate(), state.live && state.items !== null && `updated ${age} ago`].filter(Boolean).join(" · ");
  }
}

/** In place of a picture that the server has none of: why. */
function explainMissingPictures() {
  for (const image of served ? document.querySelectorAll(".card img") : []) {
    const explain = async () => {
      const reason = await (await fetch(image.src)).text();
      image.replaceWith(element("span", { className: "no-picture", textContent: `no picture: ${reason}` }));
    };
    if (image.complete && image.naturalWidth === 0) explain();
    else image.addEventListener("error", explain);
  }
}
