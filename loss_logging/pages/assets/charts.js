// The charts. A dataset keeps its colour in all of them; the second save step is dashed and named.
const MULTIPLES = 24;

class Charts extends Plots {
  constructor() {
    super($("losses"));
    this.data = null;
    this.step = "";
    this.multiples = MULTIPLES;
    for (const id of ["step-b", "band", "loss-axis"]) $(id).addEventListener("change", () => this.draw());
  }

  show(data) {
    const fresh = this.data === null;
    const b = $("step-b").value;
    const wasLast = fresh || this.step === String(this.data.compared.at(-1) ?? "");
    this.data = data;
    const steps = data.compared.map(String);
    const option = (step) => element("option", { value: step, textContent: count(Number(step)) });
    $("step-b").replaceChildren(element("option", { value: "", textContent: "none" }), ...steps.map(option));
    $("step-b").value = fresh ? (steps.length > 1 ? steps[0] : "") : steps.includes(b) ? b : "";
    if (wasLast || !steps.includes(this.step)) this.step = steps.at(-1) ?? "";
    const times = data.saves.filter(([, seconds]) => seconds !== null);
    this.times = times.length > 1 && times.at(-1)[1] > times[0][1] ? times : null;
    $("loss-axis").closest("label").hidden = !this.times;
    this.choose();
    this.draw();
  }

  /** Show the histograms and timestep curves of another save step. */
  at(step) {
    this.step = step;
    this.draw();
  }

  /** The checkboxes of the datasets: those with the most records are shown from the start. */
  choose() {
    const names = Object.keys(this.data.datasets);
    const before = new Map([...$("dataset-picker").querySelectorAll("input")].map((box) => [box.value, box.checked]));
    const boxes = names.map((name, i) => {
      const box = element("input", { type: "checkbox", value: name, checked: before.get(name) ?? i < MOST_LINES });
      box.addEventListener("change", () => this.draw());
      const swatch = element("span", { className: "swatch" });
      return element("label", { className: "check" }, box, swatch, element("bdi", { textContent: name.slice(0, 80), title: name.slice(0, 300) }));
    });
    $("dataset-picker").replaceChildren($("dataset-picker").firstElementChild, ...boxes);
    $("dataset-box").hidden = names.length < 2;
    if (before.size === 0) $("dataset-box").open = names.length <= 12;
  }

  chosen() {
    const labels = [...$("dataset-picker").querySelectorAll("label")];
    const colours = palette();
    const lines = [];
    for (const label of labels) {
      const box = label.querySelector("input");
      const colour = box.checked ? colours[lines.length % colours.length] : "transparent";
      label.querySelector(".swatch").style.background = colour;
      if (box.checked) lines.push({ name: box.value, colour, ...this.data.datasets[box.value] });
    }
    const all = labels.length === lines.length ? "" : `: ${count(lines.length)} of ${count(labels.length)}`;
    $("dataset-box").querySelector("summary").textContent = `Datasets in the charts${all}`;
    return lines;
  }

  draw() {
    if (!this.data) return;
    this.clear();
    const lines = this.chosen();
    const steps = [this.step, $("step-b").value].filter((step, i) => i === 0 || step !== this.step);
    const places = steps.map((step) => this.data.compared.map(String).indexOf(step));
    this.losses(lines);
    this.drawMultiples();
    this.histograms(lines.filter((line) => line.histograms), places);
    this.curves(lines.filter((line) => line.curves), places);
  }

  /** The steps, or the seconds at which they were: known at save steps, and on a straight line between and beyond them. */
  axis() {
    const { steps } = this.data;
    if ($("loss-axis").value === "step" || !this.times) return { x: "Step", values: steps };
    const times = this.times;
    const at = (step) => {
      let i = times.findIndex(([save]) => save >= step);
      i = Math.max(1, i < 0 ? times.length - 1 : i);
      const [[a, from], [b, to]] = [times[i - 1], times[i]];
      return b === a ? to : from + ((step - a) / (b - a)) * (to - from);
    };
    return { x: "Time", values: steps.map(at), time: true };
  }

  losses(lines) {
    const every = lines.length > 1 ? [{ name: "all datasets", colour: colourOf("--ink-soft"), loss: this.data.overall, dash: [2, 3] }] : [];
    const data = [], series = [], bands = [];
    for (const { name, colour, loss, dash } of [...lines, ...every]) {
      const { raw, mean, low, high } = this.smoothed(loss);
      if (mean.every((value) => value === null)) continue;
      if ($("band").checked && !dash && low.some((value) => value !== null)) {
        bands.push({ series: [series.length + 2, series.length + 1], fill: `${colour}26` });
        for (const bound of [low, high]) {
          data.push(bound);
          series.push({ quiet: true, width: 0, stroke: "transparent", points: { show: false }, spanGaps: true });
        }
      }
      if (this.decay > 0 && !dash && lines.length <= 3) {
        data.push(raw);
        series.push({ quiet: true, stroke: `${colour}55`, width: 1, points: { show: false }, spanGaps: true });
      }
      data.push(mean);
      series.push({ label: name, stroke: colour, dash, points: { show: this.data.steps.length < 60 && !dash }, spanGaps: true });
    }
    const { window } = this.data;
    const { x, values, time } = this.axis();
    const span = Math.round((window ?? 1) / (1 - this.decay));
    $("smooth-value").textContent = this.decay === 0 ? "off" : window ? `${count(span)} steps` : `${figure(1 / (1 - this.decay), 2)} save steps`;
    $("chart-means-note").textContent = (window ? `each point ${window === 1 ? "a step" : `${count(window)} steps`}` : "of the records since the save step before") + (bands.length ? "; band: where the mean lies with 95%" : "");
    this.plot("chart-means", [values, ...data], series, { x, y: "Mean loss", time, bands, marks: this.mark(values) });
  }

  /** Where the chosen save step lies on the axis, unless it is the last. */
  mark(values) {
    const i = this.data.steps.findIndex((step) => step >= Number(this.step));
    return this.step === "" || i < 0 || i >= values.length - 1 ? [] : [values[i]];
  }

  /** Beyond eight datasets, a small chart for each: the one with the highest loss first, all on one scale. */
  drawMultiples() {
    const place = $("multiples");
    const names = Object.keys(this.data.datasets);
    place.hidden = names.length <= MOST_LINES;
    place.replaceChildren();
    if (place.hidden) return;
    const last = (values) => values.findLast((value) => value !== null) ?? -Infinity;
    const curves = names.map((name) => ({ name, mean: this.smoothed(this.data.datasets[name].loss).mean }));
    curves.sort((a, b) => last(b.mean) - last(a.mean));
    const every = this.smoothed(this.data.overall).mean;
    const shown = curves.slice(0, this.multiples);
    const settled = shown.flatMap(({ mean }) => mean.slice(Math.floor(mean.length / 20))).filter((value) => value !== null);
    const range = settled.length ? [Math.min(...settled), Math.max(...settled)] : [0, 1];
    for (const { name, mean } of shown) {
      const chart = element("div", { className: "small", role: "img", ariaLabel: `Loss of ${name} over training` });
      const title = element("figcaption", {}, element("bdi", { textContent: name.slice(0, 80), title: name.slice(0, 300) }), element("b", { textContent: figure(last(mean) === -Infinity ? null : last(mean), 3) }));
      place.append(element("figure", {}, title, chart));
      const line = (stroke, width) => ({ stroke, width, points: { show: false }, spanGaps: true });
      this.plots.push(new uPlot({
        width: chart.clientWidth, height: chart.clientHeight, legend: { show: false }, cursor: { show: false }, padding: [4, 4, 4, 4],
        scales: { x: { time: false }, y: { range: range[0] === range[1] ? undefined : range } }, axes: [{ show: false }, { show: false }],
        series: [{}, line(colourOf("--line-strong"), 1.5), line(palette()[0], 2)],
      }, [this.data.steps, every, mean], chart));
    }
    if (curves.length > shown.length) {
      const more = element("button", { type: "button", textContent: `Show ${count(Math.min(MULTIPLES, curves.length - shown.length))} more of ${count(curves.length)}` });
      more.addEventListener("click", () => {
        this.multiples += MULTIPLES;
        this.draw();
      });
      place.append(more);
    }
  }

  histograms(lines, places) {
    const logarithmic = lines.every(({ histograms }) => histograms.every((h) => !h || h.edges[0] > 0));
    const tables = [], series = [];
    for (const [second, place] of places.entries()) {
      for (const { name, colour, histograms } of lines) {
        const histogram = histograms[place];
        if (!histogram) continue;
        tables.push(density(histogram, logarithmic));
        series.push({
          label: name, at: this.stepOf(second, place), stroke: colour, dash: second ? [6, 4] : undefined, paths: uPlot.paths.stepped({ align: 1 }),
          fill: second ? undefined : `${colour}1f`, points: { show: false }, spanGaps: true,
        });
      }
    }
    this.plot("chart-histograms", tables.length ? uPlot.join(tables) : [[]], series, { x: "Loss", y: "Density", logarithmicX: logarithmic, steps: true });
  }

  curves(lines, places) {
    const tables = [], series = [];
    for (const [second, place] of places.entries()) {
      for (const { name, colour, curves } of lines) {
        const curve = curves[place];
        if (!curve) continue;
        tables.push([curve.means.map((_, i) => (curve.edges[i] + curve.edges[i + 1]) / 2), curve.means]);
        series.push({ label: name, at: this.stepOf(second, place), stroke: colour, dash: second ? [6, 4] : undefined, points: { show: !second, size: 5 }, spanGaps: true });
      }
    }
    this.plot("chart-curves", tables.length ? uPlot.join(tables) : [[]], series, { x: "Timestep", y: "Mean loss" });
  }

  /** The step of a dashed line, for its name. */
  stepOf(second, place) {
    return second ? `step ${count(this.data.compared[place])}` : "";
  }
}
