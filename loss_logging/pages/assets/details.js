// One item: its picture, caption, figures and every record of it.
class Details {
  constructor(source) {
    this.source = source;
    this.dialog = $("details");
    this.others = [];
    $("details-close").addEventListener("click", () => this.dialog.close());
    $("details-previous").addEventListener("click", () => this.go(-1));
    $("details-next").addEventListener("click", () => this.go(1));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => Address.set({ item: "", of: "" }));
    this.dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, k: -1, ArrowRight: 1, j: 1 }[event.key];
      if (this.editing && !event.key.startsWith("Arrow")) return; // it has keys of its own
      if (!by || event.target.closest("input, select, textarea, .scroll") || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.go(by);
    });
    document.body.addEventListener("click", (event) => {
      const button = event.target.closest("button.open[data-path]");
      if (button) this.openNamed(button);
    });
  }

  /** An item of a gallery or a list, whose neighbours there are the ones before and after it. */
  async openNamed(button) {
    const list = button.closest("section") ?? document.body;
    const named = ({ dataset }) => ({ dataset: dataset.dataset, path: dataset.path });
    const others = [...list.querySelectorAll("button.open[data-path]")].filter((other) => other === button || other.closest("details")?.open !== false);
    this.others = others.map(named);
    this.place = others.indexOf(button);
    await this.show(this.others[this.place]);
  }

  /** A row of the table; `rows` are those of its page. */
  async open(row, rows = [row]) {
    this.others = rows;
    this.place = rows.findIndex((other) => other.path === row.path && other.dataset === row.dataset);
    await this.show(row);
  }

  async openLinked() {
    const path = Address.get("item");
    if (path) await this.open({ dataset: Address.get("of"), path });
  }

  async go(by) {
    const place = this.place + by;
    if (place < 0 || place >= this.others.length) return toast(by < 0 ? "This is the first one" : "This is the last one");
    this.place = place;
    await this.show(this.others[place]);
  }

  /** The same item again, from newer figures. */
  async renew() {
    if (this.dialog.open && this.row) await this.show(this.row);
  }

  async show({ dataset, path }) {
    const card = this.card(dataset, path);
    const row = (await this.source.find(dataset, path)) ?? { dataset, path, caption: card?.querySelector(".caption")?.textContent ?? "" };
    this.row = row;
    Address.set({ item: path, of: dataset });
    $("details-title").replaceChildren(element("bdi", { textContent: path.split(/[\\/]/).pop() || path }));
    $("details-previous").disabled = this.place <= 0;
    $("details-next").disabled = this.place >= this.others.length - 1;
    const history = element("div", { className: "history" }, element("p", { className: "hint", textContent: "Reading its records…" }));
    const caption = this.editing ? await this.editing.panel(row) : this.caption(row, card);
    const about = element("div", {}, caption, this.sentences(row, card), this.figures(row), this.actions(row));
    $("details-content").replaceChildren(
      element("div", { className: "item" }, this.picture(row, card), about),
      ...(this.source.hasHistory ? [element("h3", { textContent: "Its losses over training" }), history] : []),
    );
    if (!this.dialog.open) this.dialog.showModal();
    if (this.editing) this.dialog.focus(); // and not a button, which a key would press
    if (!this.source.hasHistory) return;
    try {
      const found = await this.source.history(dataset, path);
      if (this.row === row) this.history(history, found);
    } catch (error) {
      history.replaceChildren(element("p", { className: "empty", textContent: `Its records cannot be read: ${error.message}` }));
    }
  }

  card(dataset, path) {
    return [...document.querySelectorAll(".card button.open")].find((b) => b.dataset.path === path && b.dataset.dataset === dataset)?.closest(".card");
  }

  picture(row, card) {
    const address = this.source.picture(row);
    if (address) {
      const image = element("img", { src: address, alt: (row.caption ?? "").slice(0, 120) || row.path, className: "large" });
      image.addEventListener("error", async () => {
        if (served) image.replaceWith(element("p", { className: "no-picture", textContent: `no picture: ${await this.source.whyNoPicture(row)}` }));
      });
      return image;
    }
    const reason = card?.querySelector(".no-picture")?.textContent ?? "no picture: the page holds those of the galleries; loss-logging view shows every item's";
    return element("p", { className: "no-picture", textContent: reason });
  }

  /** Its caption, and where two runs are compared and it was another one, that as well. */
  caption(row, card) {
    const words = card?.querySelector(".words");
    if (words) return words.cloneNode(true);
    const written = (text) => (text?.trim() ? text : "(an empty caption)");
    const now = element("p", { className: "caption", dir: "auto", textContent: written(row.caption) });
    if (row.caption_before === null || row.caption_before === undefined) return now;
    return element("div", {}, element("p", { className: "caption was", dir: "auto" }, element("del", { textContent: written(row.caption_before) })), now);
  }

  /** What the figures say, in words. */
  sentences(row, card) {
    const said = card && !this.source.step ? card.querySelector(".sentence")?.textContent : mismatchSentence(row);
    const flags = (row.flags ?? "").split(", ").filter(Boolean);
    const chips = element("p", { className: "chips" }, ...flags.map((rule) => element("span", { className: `chip ${this.source.rules[rule] ?? ""}`, textContent: rule })));
    return element("div", {}, ...(said ? [element("p", { className: "sentence", textContent: said })] : []), ...(flags.length ? [chips] : []));
  }

  figures(row) {
    const list = element("dl", { className: "figures-list" });
    const add = (title, value, help) => list.append(element("div", { title: help ?? "" }, element("dt", { textContent: title }), element("dd", {}, value)));
    add("Dataset", element("bdi", { textContent: row.dataset }));
    for (const { name, title, help, kind } of this.source.columns()) {
      if (kind === "text" || row[name] === undefined || name === "standard_error") continue;
      add(title, name === "caption_mismatch" ? figureCell(name, row) : figure(row[name]), help);
    }
    return list;
  }

  actions(row) {
    const button = (title, text, done) => {
      const made = element("button", { type: "button", textContent: title });
      made.addEventListener("click", async () => {
        await copyText(text());
        toast(done);
      });
      return made;
    };
    const links = this.source.links(row).map(([title, href]) => element("a", { href, target: "_blank", rel: "noopener noreferrer", textContent: title }));
    return element("div", { className: "path" },
      element("bdi", { textContent: row.path }),
      element("p", { className: "controls" }, button("Copy path", () => row.path, "Path copied"), button("Copy link to this item", () => Address.link({ item: row.path, of: row.dataset }), "Link copied"), ...links));
  }

  history(place, found) {
    if (!found || !found.records.length) {
      place.replaceChildren(element("p", { className: "empty", textContent: "The page holds the records of the worst and the flagged items only; loss-logging view shows every item's." }));
      return;
    }
    const { records, of } = found;
    const note = records.length < of ? `${count(records.length)} of its ${count(of)} records, spread evenly.` : `${count(of)} ${of === 1 ? "record" : "records"}.`;
    const paired = records.some((record) => record[3] !== null);
    const timed = records.some((record) => record[1] !== null);
    const chart = element("div", { className: "chart", role: "img", ariaLabel: "Loss of the item by step, or by timestep" });
    const axis = element("select", {}, element("option", { value: "0", textContent: "step" }), element("option", { value: "1", textContent: "timestep" }));
    axis.addEventListener("change", () => this.draw(chart, records, Number(axis.value), paired));
    const key = (colour, text) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = colour;
      return element("span", { className: "entry" }, swatch, text);
    };
    const [own, empty] = palette();
    const legend = element("div", { className: "readout" }, key(own, "loss"), ...(paired ? [key(empty, "loss with the empty caption, joined to its own")] : []), ...(timed ? [element("label", {}, "Over ", axis)] : []));
    place.replaceChildren(element("p", { className: "hint", textContent: note }), legend, chart, this.table(records));
    this.draw(chart, records, 0, paired);
  }

  draw(chart, records, over, paired) {
    chart.replaceChildren();
    const [own, empty] = palette();
    const sorted = records.filter((record) => record[over] !== null).sort((a, b) => a[over] - b[over]);
    const columns = [over, 2, 3].map((i) => sorted.map((record) => record[i]));
    const dots = (label, colour) => ({ label, stroke: colour, paths: () => null, points: { show: true, size: 6, fill: colour } });
    new uPlot({
      width: chart.clientWidth, height: chart.clientHeight, legend: { show: false }, cursor: { y: false }, plugins: [joined(), pointed()],
      scales: { x: { time: false } },
      axes: [axisOf(over ? "Timestep" : "Step", 34), axisOf("Loss", 54)],
      series: [{ label: over ? "Timestep" : "Step" }, dots("loss", own), ...(paired ? [dots("with the empty caption", empty)] : [])],
    }, paired ? columns : columns.slice(0, 2), chart);
  }

  table(records) {
    const head = element("tr", {}, ...["Step", "Timestep", "Loss", "Loss, empty caption"].map((title) => element("th", { scope: "col", textContent: title })));
    const rows = records.map((record) => element("tr", {}, ...record.map((value) => element("td", { textContent: figure(value) }))));
    return element("details", {}, element("summary", { textContent: "As a table" }), element("div", { className: "scroll", tabIndex: 0 }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  }
}

/** What caption_mismatch says, in words; nothing where it says nothing. */
function mismatchSentence(row) {
  const { caption_mismatch: mismatch, standard_error: error, n_paired: pairs } = row;
  if (mismatch === null || mismatch === undefined) return "";
  if (pairs < DECISIVE_PAIRS) return `Whether its caption is wrong is undecided: it has ${count(pairs)} of the ${DECISIVE_PAIRS} tries that it takes.`;
  const ratio = (2 + mismatch) / (2 - mismatch);
  const how = ratio >= 3 ? `${figure(ratio, 2)} times as high as` : `${Math.round(100 * Math.abs(ratio - 1))}% ${ratio >= 1 ? "higher than" : "lower than"}`;
  const sure = Math.abs(mismatch) > 2 * error ? "" : " That may be chance.";
  return `With its caption the loss is ${how} with none, on average of ${count(pairs)} tries.${sure}`;
}

/** A line between the two losses of each pair. */
function joined() {
  return {
    hooks: {
      drawAxes: (plot) => {
        if (plot.series.length < 3) return;
        const { ctx } = plot;
        const [x, own, empty] = plot.data;
        ctx.save();
        ctx.strokeStyle = colourOf("--line-strong");
        ctx.lineWidth = devicePixelRatio;
        for (let i = 0; i < x.length; i++) {
          if (own[i] === null || empty[i] === null) continue;
          const at = Math.round(plot.valToPos(x[i], "x", true));
          ctx.beginPath();
          ctx.moveTo(at, plot.valToPos(own[i], "y", true));
          ctx.lineTo(at, plot.valToPos(empty[i], "y", true));
          ctx.stroke();
        }
        ctx.restore();
      },
    },
  };
}

/** The figures of the record at the pointer, above the dots. */
function pointed() {
  const box = element("div", { className: "tooltip", hidden: true });
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left } = plot.cursor;
        box.hidden = idx === null || idx === undefined || left < 0;
        if (box.hidden) return;
        box.textContent = [`${plot.axes[0].label} ${figure(plot.data[0][idx])}`, ...plot.series.slice(1).map((line, i) => `${line.label} ${figure(plot.data[i + 1][idx])}`)].join(" · ");
        box.style.left = `${Math.max(0, Math.min(plot.over.clientWidth - box.offsetWidth, left - box.offsetWidth / 2))}px`;
      },
    },
  };
}
