// What all charts share: how one is drawn, what stands below it, colours.
const MOST_LINES = 8;

/** Charts that are drawn anew when something changes, and follow the width of the page. */
class Plots {
  constructor(place) {
    this.plots = [];
    $("log-loss").addEventListener("change", () => this.draw());
    $("smooth").addEventListener("input", later(30, () => this.draw()));
    new ResizeObserver(later(100, () => this.resize())).observe(place);
  }

  clear() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
  }

  /** How much of the window before a smoothed value keeps. */
  get decay() {
    const value = Number($("smooth").value);
    return value === 0 ? 0 : 1 - 10 ** (-value / 50);
  }

  /** The moving mean of a curve, each loss with the same weight, and its 95% interval. */
  smoothed({ places, n, means, errors }, size = this.data.steps.length) {
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
