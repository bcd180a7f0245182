// One item: its picture, caption, figures and every record of it.
class Details {
  constructor(source) {
    this.source = source;
    this.dialog = $("details");
    $("details-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.body.addEventListener("click", (event) => {
      const button = event.target.closest("button.open[data-path]");
      if (button) this.openNamed(button.dataset.dataset, button.dataset.path, button);
    });
  }

  async openNamed(dataset, path, button) {
    const card = button.closest(".card, li");
    const row = (await this.source.find(dataset, path)) ?? { dataset, path, caption: card?.querySelector(".caption")?.textContent ?? "" };
    this.open(row);
  }

  async open(row) {
    this.row = row;
    $("details-title").replaceChildren(element("bdi", { textContent: row.path.split(/[\\/]/).pop() || row.path }));
    const history = element("div", { className: "history" }, element("p", { className: "hint", textContent: "Reading its records…" }));
    const copy = element("button", { type: "button", textContent: "Copy path" });
    copy.addEventListener("click", async () => {
      await copyText(row.path);
      toast("Path copied");
    });
    $("details-content").replaceChildren(
      element("div", { className: "item" }, this.picture(row), element("div", {}, this.caption(row), this.figures(row), element("p", { className: "path" }, element("bdi", { textContent: row.path }), " ", copy))),
      element("h3", { textContent: "Its losses over training" }),
      history,
    );
    if (!this.dialog.open) this.dialog.showModal();
    try {
      const found = await this.source.history(row.dataset, row.path);
      if (this.row === row) this.history(history, found);
    } catch (error) {
      history.replaceChildren(element("p", { className: "empty", textContent: `Its records cannot be read: ${error.message}` }));
    }
  }

  picture(row) {
    const known = [...document.querySelectorAll(".card button.open")].find((b) => b.dataset.path === row.path && b.dataset.dataset === row.dataset);
    const address = this.source.picture(row) ?? known?.querySelector("img")?.src;
    if (address) {
      const image = element("img", { src: address, alt: "", className: "large" });
      image.addEventListener("error", async () => {
        image.replaceWith(element("p", { className: "no-picture", textContent: `no picture: ${await this.source.whyNoPicture(row)}` }));
      });
      return image;
    }
    const reason = known?.querySelector(".no-picture")?.textContent ?? "no picture: the page holds those of the galleries; loss-logging view shows every item's";
    return element("p", { className: "no-picture", textContent: reason });
  }

  caption(row) {
    return element("p", { className: "caption", dir: "auto", textContent: row.caption?.trim() ? row.caption : "(an empty caption)" });
  }

  figures(row) {
    const list = element("dl", { className: "figures-list" });
    const add = (title, value) => list.append(element("div", {}, element("dt", { textContent: title }), element("dd", {}, value)));
    add("Dataset", element("bdi", { textContent: row.dataset }));
    for (const { name, title, kind } of this.source.columns()) {
      if (kind !== "text" && row[name] !== undefined) add(title, figure(row[name]));
    }
    if (row.flags) add("Flags", row.flags);
    return list;
  }

  history(place, found) {
    if (!found || !found.records.length) {
      place.replaceChildren(element("p", { className: "empty", textContent: "The page holds the records of the worst and the flagged items only; loss-logging view shows every item's." }));
      return;
    }
    const { records, of } = found;
    const note = records.length < of ? `${count(records.length)} of its ${count(of)} records, spread evenly.` : `${count(of)} ${of === 1 ? "record" : "records"}.`;
    const chart = element("div", { className: "chart", role: "img", ariaLabel: "Loss of the item by step" });
    place.replaceChildren(element("p", { className: "hint", textContent: note }), chart, this.table(records));
    this.draw(chart, records);
  }

  draw(chart, records) {
    const colours = palette();
    const style = getComputedStyle(document.body);
    const ink = style.getPropertyValue("--ink-soft").trim(), grid = style.getPropertyValue("--line").trim();
    const columns = [0, 2, 3].map((i) => records.map((record) => record[i]));
    const paired = columns[2].some((value) => value !== null);
    const axis = (label, size) => ({ label, size, labelSize: 20, stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui", labelFont: "12px system-ui", values: (_, ticks) => ticks.map((tick) => figure(tick, 3)) });
    const dots = (label, colour) => ({ label, stroke: colour, paths: () => null, points: { show: true, size: 6, fill: colour } });
    new uPlot({
      width: chart.clientWidth, height: chart.clientHeight, legend: { show: false }, cursor: { y: false }, plugins: [tooltip(false)],
      scales: { x: { time: false } },
      axes: [axis("Step", 34), axis("Loss", 54)],
      series: [{ label: "Step" }, dots("loss", colours[0]), ...(paired ? [dots("loss with the empty caption", colours[1])] : [])],
    }, paired ? columns : columns.slice(0, 2), chart);
  }

  table(records) {
    const head = element("tr", {}, ...["Step", "Timestep", "Loss", "Loss, empty caption"].map((title) => element("th", { scope: "col", textContent: title })));
    const rows = records.map((record) => element("tr", {}, ...record.map((value) => element("td", { textContent: figure(value) }))));
    return element("details", {}, element("summary", { textContent: "As a table" }), element("div", { className: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  }
}
