// Puts the page together.
function theme() {
  const kept = (() => {
    try {
      return localStorage.getItem("loss_logging-theme") ?? "";
    } catch {
      return ""; // storage is switched off
    }
  })();
  const apply = (name) => {
    document.documentElement.dataset.theme = name;
    document.querySelector("meta[name=color-scheme]").content = name || "light dark";
  };
  $("theme").value = kept;
  apply(kept);
  return (redraw) => {
    $("theme").addEventListener("change", () => {
      apply($("theme").value);
      try {
        localStorage.setItem("loss_logging-theme", $("theme").value);
      } catch {
        // then it holds until the page is closed
      }
      redraw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  };
}

const PARTS = ["overview", "galleries", "ranking", "flags"];

/** The choice of a save step moves everything: head, galleries, charts, ranking, flags, table. */
class Steps {
  constructor(source, charts, table, details, editing) {
    Object.assign(this, { source, charts, table, details, editing });
    $("step").addEventListener("change", () => this.choose());
  }

  /** What can be chosen. Of a run that goes on the newest figures are a choice of their own. */
  offer(steps) {
    const before = $("step").value;
    const last = String(steps.at(-1) ?? "");
    const option = (step) => element("option", { value: String(step), textContent: count(step) });
    const options = steps.map(option).reverse();
    if (served) options.unshift(element("option", { value: "", textContent: "now" }));
    $("step").replaceChildren(...options);
    const fresh = this.last === undefined;
    const wanted = fresh ? Address.get("step") : before === this.last && !served ? last : before;
    this.last = last;
    $("step").value = steps.map(String).includes(wanted) ? wanted : served ? "" : last;
    $("step").closest("label").hidden = steps.length === 0;
  }

  get chosen() {
    return $("step").value;
  }

  /** Whether a step is shown that is no longer the newest. */
  get earlier() {
    return served ? this.chosen !== "" : this.chosen !== this.last;
  }

  async choose() {
    const step = this.chosen;
    Address.set({ step: this.earlier ? step : "" });
    this.charts.at(step || this.last);
    const found = await this.source.at(this.earlier ? Number(step) : null);
    if (step !== this.chosen) return;
    this.show(found.parts);
    $("table-step").hidden = !found.note;
    $("table-step").replaceChildren(...(found.note ?? []));
    await this.table.renew(this.source);
  }

  /** Show the parts that change; what a reader had unfolded stays unfolded. */
  show(parts) {
    for (const id of PARTS) {
      const open = [...$(id).querySelectorAll("details[open] > summary [data-rule]")].map((chip) => chip.dataset.rule);
      const content = new DOMParser().parseFromString(parts[id], "text/html"); // runs no script
      $(id).replaceChildren(...content.body.childNodes);
      if (id === "flags") for (const rule of $(id).querySelectorAll("details.rule")) rule.open = open.includes(rule.querySelector("[data-rule]").dataset.rule);
      for (const image of $(id).querySelectorAll("img[data-from]")) image.src = this.source.pictureAt(image.dataset.from) ?? "data:,";
    }
    Ranking.sort();
    this.editing?.show();
    explainMissingPictures();
  }
}

async function start() {
  const whenChanged = theme();
  Ranking.start();
  const compared = $("runs") ? new RunCharts(await unpack("runs")) : null;
  const charts = $("losses") ? new Charts() : null;
  // The table does not wait for the charts: `view` reads the whole log for them.
  const shown = charts && (served ? fetchJson("api/charts") : unpack("charts")).then((data) => charts.show(data));
  whenChanged(() => (charts ?? compared)?.draw());
  const source = served ? await ServedSource.open() : await FileSource.open();
  const details = new Details(source);
  const table = new Table(source, (row, rows) => details.open(row, rows));
  const editing = editable ? new Editing(source, details, table) : null;
  if (charts) await startRun(charts, shown, source, details, table, editing);
  await editing?.load();
  if (served) explainMissingPictures();
  details.openLinked();
  document.documentElement.dataset.ready = "true";
}

/** What a run has and a folder has not: charts, save steps, and news while it goes on. */
async function startRun(charts, shown, source, details, table, editing) {
  const steps = new Steps(source, charts, table, details, editing);
  if (served) follow(source, steps);
  await shown;
  const linked = Address.get("step");
  steps.offer(charts.data.compared);
  if (linked && linked !== steps.chosen) {
    Address.set({ step: "" });
    toast(`This page has no save step ${linked}: the newest is shown`);
  }
  if (steps.earlier) {
    await table.built;
    await steps.choose();
  }
}

start().catch((error) => {
  $("table-status").textContent = `The page could not be put together: ${error.message}`;
  throw error;
});
