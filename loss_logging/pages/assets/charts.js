// The charts. A dataset keeps its colour in all of them; the second save step is dashed and named.
const MOST_LINES = 8;
const MULTIPLES = 24;

class Charts {
  constructor() {
    this.data = null;
    this.step = "";
    this.plots = [];
    this.multiples = MULTIPLES;
    for (const id of ["step-b", "log-loss", "band", "loss-axis"]) $(id).addEventListener("change", () => this.draw());
    $("smooth").addEventListener("input", later(30, () => this.draw()));
    new ResizeObserver(later(100, () => this.resize())).observe($("losses"));
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
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    const lines = this.chosen();
    const steps = [this.step, $("step-b").value].filter((step, i) => i === 0 || step !== this.step);
    const places = steps.map((step) => this.data.compared.map(String).indexOf(step));
    this.losses(lines);
    this.drawMultiples();
    this.histograms(lines.filter((line) => line.histograms), places);
    this.curves(lines.filter((line) => line.curves), places);
  }

  /** How much of the window before a smoothed value keeps. */
  get decay() {
    const value = Number($("smooth").value);
    return value === 0 ? 0 : 1 - 10 ** (-value / 50);
  }

  /** The moving mean of a curve, each loss with the same weight, and its 95% interval. */
  smoothed({ places, n, means, errors }) {
    const size = this.data.steps.length;
    const found = { raw: Array(size).fill(null), mean: Array(size).fill(null), low: Array(size).fill(null), high: Array(size).fill(null) };
    let sum = 0, weight = 0, variance = 0, known = true, before = -1;
    for (let i = 0; i < means.length; i++) {
      const place = places ? places[i] : i;
      const kept = this.decay ** (before < 0 ? 1 : place - before);
      before = place;
      sum = kept * sum + n[i] * means[i];
      weight = kept * weight + n[i];
      variance = kept ** 2 * variance + (n[i] * (errors[i] ?? 0)) ** 2;
      known = (known || this.decay === 0) && errors[i] !== null;
      found.raw[place] = means[i];
      found.mean[place] = sum / weight;
      const error = (1.96 * Math.sqrt(variance)) / weight;
      if (known) [found.low[place], found.high[place]] = [sum / weight - error, sum / weight + error];
    }
    return found;
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

  plot(id, data, series, { x, y, logarithmicX = false, steps = false, time = false, bands = [], marks = [] }) {
    const place = $(id);
    place.replaceChildren();
    $(`${id}-readout`).replaceChildren();
    place.setAttribute("role", "img");
    place.setAttribute("aria-labelledby", `${id}-title`);
    if (!series.length || !data[0].length) {
      place.append(element("p", { className: "empty", textContent: "Nothing to show." }));
      return;
    }
    const logarithmicY = id !== "chart-histograms" && $("log-loss").checked && data.slice(1).every((values) => values.every((v) => v === null || v === undefined || v > 0));
    const options = {
      width: place.clientWidth, height: place.clientHeight, bands,
      scales: { x: { time, distr: logarithmicX ? 3 : 1 }, y: { distr: logarithmicY ? 3 : 1 } },
      series: [{ label: x }, ...series.map((line) => ({ width: 2, ...line }))],
      axes: [axisOf(x, 34, time), axisOf(y, 54)],
      legend: { show: false },
      cursor: { y: false, points: { size: 7, show: (plot, i) => plot.series[i].quiet ? false : cursorPoint(plot, i) } },
      plugins: [readout($(`${id}-readout`), steps, time), markLines(marks)],
    };
    this.plots.push(new uPlot(options, data, place));
  }

  resize() {
    for (const plot of this.plots) {
      const place = plot.root.parentElement;
      if (place?.clientWidth) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }
}

/** The dot that follows the pointer on a line. */
function cursorPoint(plot, i) {
  const dot = element("div", { className: "u-cursor-pt" });
  const size = 7;
  Object.assign(dot.style, { width: `${size}px`, height: `${size}px`, marginLeft: `${-size / 2}px`, marginTop: `${-size / 2}px`, background: plot.series[i]._stroke ?? "currentColor" });
  return dot;
}

const colourOf = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

function axisOf(label, size, time = false) {
  const grid = { stroke: colourOf("--line"), width: 1 };
  const values = time ? {} : { values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : figure(tick, 3))) };
  return { label, stroke: colourOf("--ink-soft"), grid, ticks: grid, size: time ? 46 : size, labelSize: 20, font: "12px system-ui", labelFont: "12px system-ui", ...values };
}

/** Upright lines, such as at the save step that is shown. */
function markLines(marks) {
  return {
    hooks: {
      drawClear: (plot) => {
        for (const mark of marks) {
          const { ctx, bbox } = plot;
          const at = Math.round(plot.valToPos(mark, "x", true));
          ctx.save();
          ctx.strokeStyle = colourOf("--ink-soft");
          ctx.setLineDash([4, 4]);
          ctx.beginPath();
          ctx.moveTo(at, bbox.top);
          ctx.lineTo(at, bbox.top + bbox.height);
          ctx.stroke();
          ctx.restore();
        }
      },
    },
  };
}

function palette() {
  const style = getComputedStyle(document.body);
  return Array.from({ length: MOST_LINES }, (_, i) => style.getPropertyValue(`--series-${i + 1}`).trim());
}

/** A histogram as a line of steps: the share of losses per unit of loss, or per unit of its logarithm, adds up to 1. */
function density({ edges, counts }, logarithmic) {
  const total = counts.reduce((sum, n) => sum + n, 0) || 1;
  const width = (i) => (logarithmic ? Math.log(edges[i + 1] / edges[i]) : edges[i + 1] - edges[i]);
  return [edges, [...counts.map((n, i) => (width(i) > 0 ? n / total / width(i) : 0)), 0]];
}

/** Below a chart, so that it covers no line: what the colours are, the values at the pointer, the way back from a zoom. */
function readout(place, steps, time) {
  const at = element("b", {});
  const back = element("button", { type: "button", className: "link", textContent: "Show all again", hidden: true });
  const values = [];
  const text = (plot, idx) => (time ? new Date(plot.data[0][idx] * 1_000).toLocaleString() : figure(plot.data[0][idx]));
  const update = (plot) => {
    const { idx, left } = plot.cursor;
    const inside = idx !== null && idx !== undefined && left >= 0;
    at.textContent = inside ? `${plot.axes[0].label} ${text(plot, idx)}` : "";
    for (const { cell, i } of values) {
      let place = inside ? idx : plot.data[i].length - 1;
      const blank = () => plot.data[i][place] === null || plot.data[i][place] === undefined;
      while ((steps || !inside) && place > 0 && blank()) place--;
      cell.textContent = steps && !inside ? "" : figure(plot.data[i][place], 3);
    }
  };
  return {
    hooks: {
      init: (plot) => {
        back.addEventListener("click", () => plot.setData(plot.data));
        place.replaceChildren();
        for (const [i, line] of plot.series.entries()) {
          if (i === 0 || line.quiet) continue;
          const swatch = element("span", { className: line.dash ? "swatch dashed" : "swatch" });
          const colour = line._stroke ?? line.stroke();
          swatch.style[line.dash ? "borderColor" : "background"] = colour;
          const cell = element("span", { className: "value" });
          values.push({ cell, i });
          place.append(element("span", { className: "entry" }, swatch, element("bdi", { textContent: line.label.slice(0, 60), title: line.label.slice(0, 300) }), line.at ?? "", cell));
        }
        place.append(at, back);
      },
      ready: update,
      setCursor: update,
      setScale: (plot, name) => {
        if (name !== "x") return;
        const all = plot.data[0];
        back.hidden = !(plot.scales.x.min > all[0] || plot.scales.x.max < all.at(-1));
      },
    },
  };
}
