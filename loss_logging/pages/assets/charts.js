// The three charts. A dataset keeps its colour in all of them; the second save step is dashed.
const MOST_LINES = 8;

class Charts {
  constructor() {
    this.data = null;
    this.plots = [];
    for (const id of ["step-a", "step-b", "log-loss"]) $(id).addEventListener("change", () => this.draw());
    new ResizeObserver(later(100, () => this.resize())).observe(document.querySelector(".charts"));
  }

  show(data) {
    const fresh = this.data === null;
    const [a, b] = [$("step-a").value, $("step-b").value];
    const wasLast = fresh || a === String(this.data.compared.at(-1));
    this.data = data;
    const steps = data.compared.map(String);
    const option = (step) => element("option", { value: step, textContent: count(Number(step)) });
    $("step-a").replaceChildren(...steps.map(option));
    $("step-b").replaceChildren(element("option", { value: "", textContent: "none" }), ...steps.map(option));
    $("step-a").value = wasLast || !steps.includes(a) ? (steps.at(-1) ?? "") : a;
    $("step-b").value = fresh ? (steps.length > 1 ? steps[0] : "") : steps.includes(b) ? b : "";
    this.choose();
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
      return element("label", { className: "check" }, box, swatch, element("bdi", { textContent: name.slice(0, 80) }));
    });
    $("dataset-picker").replaceChildren($("dataset-picker").firstElementChild, ...boxes);
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
    return lines;
  }

  draw() {
    if (!this.data) return;
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    const lines = this.chosen();
    const places = [$("step-a").value, $("step-b").value].map((step) => this.data.compared.map(String).indexOf(step));
    this.means(lines);
    this.histograms(lines, places);
    this.curves(lines, places);
  }

  means(lines) {
    const found = lines.filter(({ means }) => means.some((mean) => mean !== null));
    const series = found.map(({ name, colour, means }) => ({ label: name, stroke: colour, points: { show: means.length < 60 }, spanGaps: true }));
    this.plot("chart-means", [this.data.steps, ...found.map(({ means }) => means)], series, { x: "Step", y: "Mean loss" });
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
          label: name, stroke: colour, dash: second ? [6, 4] : undefined, paths: uPlot.paths.stepped({ align: 1 }),
          fill: second ? undefined : `${colour}1f`, points: { show: false }, spanGaps: true,
        });
      }
    }
    this.plot("chart-histograms", tables.length ? uPlot.join(tables) : [[]], series, { x: "Loss", y: "Density", logarithmicX: logarithmic });
  }

  curves(lines, places) {
    const tables = [], series = [];
    for (const [second, place] of places.entries()) {
      for (const { name, colour, curves } of lines) {
        const curve = curves[place];
        if (!curve) continue;
        tables.push([curve.means.map((_, i) => (curve.edges[i] + curve.edges[i + 1]) / 2), curve.means]);
        series.push({ label: name, stroke: colour, dash: second ? [6, 4] : undefined, points: { show: !second, size: 5 }, spanGaps: true });
      }
    }
    this.plot("chart-curves", tables.length ? uPlot.join(tables) : [[]], series, { x: "Timestep", y: "Mean loss" });
  }

  plot(id, data, series, { x, y, logarithmicX = false }) {
    const place = $(id);
    place.replaceChildren();
    place.setAttribute("role", "img");
    place.setAttribute("aria-labelledby", `${id}-title`);
    if (!series.length || !data[0].length) {
      place.append(element("p", { className: "empty", textContent: "Nothing to show." }));
      return;
    }
    const style = getComputedStyle(document.body);
    const ink = style.getPropertyValue("--ink-soft").trim(), grid = style.getPropertyValue("--line").trim();
    const axis = (label, size) => ({ label, stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, size, labelSize: 20, font: "12px system-ui", labelFont: "12px system-ui", values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : figure(tick, 3))) });
    const logarithmicY = id !== "chart-histograms" && $("log-loss").checked && data.slice(1).every((values) => values.every((v) => v === null || v === undefined || v > 0));
    const options = {
      width: place.clientWidth, height: place.clientHeight,
      scales: { x: { time: false, distr: logarithmicX ? 3 : 1 }, y: { distr: logarithmicY ? 3 : 1 } },
      series: [{ label: x, value: (_, v) => figure(v) }, ...series.map((line) => ({ width: 2, value: (_, v) => figure(v), ...line }))],
      axes: [axis(x, 34), axis(y, 54)],
      legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      plugins: [tooltip(id === "chart-histograms")],
    };
    this.plots.push(new uPlot(options, data, place));
  }

  resize() {
    for (const plot of this.plots) {
      const place = plot.root.parentElement;
      plot.setSize({ width: place.clientWidth, height: place.clientHeight });
    }
  }
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

/** The values at the pointer, beside it; where lines are steps, of the step that the pointer is on. */
function tooltip(steps) {
  const box = element("div", { className: "tooltip", hidden: true });
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left, top } = plot.cursor;
        box.hidden = idx === null || idx === undefined || left < 0;
        if (box.hidden) return;
        const lines = plot.series.slice(1).map((line, i) => {
          let at = idx;
          while (steps && at > 0 && (plot.data[i + 1][at] === null || plot.data[i + 1][at] === undefined)) at--;
          const swatch = element("span", { className: "swatch" });
          swatch.style.background = line._stroke ?? line.stroke();
          return element("div", {}, swatch, element("bdi", { textContent: `${line.label.slice(0, 40)}${line.dash ? " (dashed)" : ""}` }), ` ${figure(plot.data[i + 1][at])}`);
        });
        box.replaceChildren(element("b", { textContent: `${plot.axes[0].label} ${figure(plot.data[0][idx])}` }), ...lines);
        const room = plot.over.clientWidth - box.offsetWidth;
        box.style.left = `${left + 12 <= room ? left + 12 : Math.max(0, Math.min(room, left - box.offsetWidth - 12))}px`;
        box.style.top = `${Math.min(top, Math.max(0, plot.over.clientHeight - box.offsetHeight))}px`;
      },
    },
  };
}
