// The same questions, answered by loss-logging view; and what is new while training goes on.
const LOOK_MILLISECONDS = 3_000;

class ServedSource {
  static async open() {
    return new ServedSource(await fetchJson("api/about"));
  }

  constructor(about) {
    this.about = about;
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
    return `${path}?${new URLSearchParams(values)}`;
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

  picture(row) {
    return this.address("image", { pixels: 512, path: row.path });
  }

  async whyNoPicture(row) {
    return (await fetch(this.address("image", { path: row.path }))).text();
  }
}

/** Say what the server is doing, and show what is new: a save step in the galleries and charts, records in the table. */
async function follow(source, charts, table) {
  let shown = null, busy = true;
  for (;;) {
    try {
      const state = await fetchJson("api/state");
      source.note = [state.problem, state.step >= 0 && `Records up to step ${count(state.step)}`].filter(Boolean).join(" ");
      $("busy").hidden = !state.busy;
      $("busy").textContent = `${state.busy}…`;
      busy = Boolean(state.busy);
      if (shown && state.report_step !== shown.report_step) await showReport(charts);
      if (shown && state.version !== shown.version) await table.renew(await ServedSource.open());
      else table.status(source.note);
      shown = state;
    } catch (error) {
      table.status(`loss-logging view does not answer (${error.message}); what is shown may be old.`);
    }
    await new Promise((done) => setTimeout(done, busy ? LOOK_MILLISECONDS / 3 : LOOK_MILLISECONDS));
  }
}

async function showReport(charts) {
  const text = await (await fetch("./")).text();
  const page = new DOMParser().parseFromString(text, "text/html"); // runs no script
  for (const id of ["overview", "findings"]) {
    const open = [...$(id).querySelectorAll("details[open] > summary .chip:first-child")].map((chip) => chip.textContent);
    $(id).replaceChildren(...page.getElementById(id).childNodes);
    for (const rule of $(id).querySelectorAll("details.rule")) rule.open = open.includes(rule.querySelector(".chip").textContent);
  }
  charts.show(await fetchJson("api/charts"));
  explainMissingPictures();
}

/** In place of a picture that the server has none of: why. */
function explainMissingPictures() {
  for (const image of document.querySelectorAll(".card img")) {
    const explain = async () => {
      const reason = await (await fetch(image.src)).text();
      image.replaceWith(element("span", { className: "no-picture", textContent: `no picture: ${reason}` }));
    };
    if (image.complete && image.naturalWidth === 0) explain();
    else image.addEventListener("error", explain);
  }
}
