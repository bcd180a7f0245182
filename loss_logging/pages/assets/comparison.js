// The charts of two runs, one over the other. A run keeps its colour and its name on the whole page.
class RunCharts extends Plots {
  constructor(runs) {
    super($("runs"));
    this.runs = runs;
    const named = [...new Set(runs.flatMap(({ datasets }) => Object.keys(datasets)))];
    const option = (value) => element("option", { value, textContent: value === "" ? "all datasets" : value.slice(0, 80) });
    $("run-dataset").replaceChildren(...named.map(option));
    $("run-dataset").closest("label").hidden = named.length < 3; // "all" and the one that there is are the same
    $("run-dataset").addEventListener("change", () => this.draw());
    this.trained = runs.some(({ steps }) => steps.length > 1);
    $("runs").querySelector("figure.wide").hidden = !this.trained;
    $("smooth").closest("label").hidden = !this.trained;
    this.draw();
  }

  /** What each run has of the dataset that is chosen; a run without it has no line. */
  lines() {
    const colours = palette();
    return this.runs
      .map((run, i) => ({ label: run.name, stroke: colours[1 - i], dash: i ? undefined : [7, 4], steps: run.steps, ...run.datasets[$("run-dataset").value] }))
      .filter(({ loss }) => loss);
  }

  draw() {
    this.clear();
    const lines = this.lines();
    if (this.trained) this.losses(lines);
    this.histograms(lines.filter(({ histogram }) => histogram));
    this.curves(lines.filter(({ curve }) => curve));
  }

  losses(lines) {
    const tables = [], series = [], bands = [];
    for (const { label, stroke, dash, steps, loss } of lines) {
      const { mean, low, high } = this.smoothed(loss, steps.length);
      bands.push({ series: [series.length + 2, series.length + 1], fill: `${stroke}26` });
      for (const _ of [low, high]) series.push({ quiet: true, width: 0, stroke: "transparent", points: { show: false }, spanGaps: true });
      series.push({ label, stroke, dash, points: { show: false }, spanGaps: true });
      tables.push([steps, low, high, mean]);
    }
    $("smooth-value").textContent = this.decay === 0 ? "off" : `${figure(1 / (1 - this.decay), 2)} points`;
    this.plot("chart-means", merged(tables), series, { x: "Step", y: "Mean loss", bands });
  }

  histograms(lines) {
    const logarithmic = lines.every(({ histogram }) => histogram.edges[0] > 0);
    const series = lines.map(({ label, stroke, dash }) => ({ label, stroke, dash, fill: `${stroke}1f`, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, spanGaps: true }));
    this.plot("chart-histograms", merged(lines.map(({ histogram }) => density(histogram, logarithmic))), series, { x: "Loss", y: "Density", logarithmicX: logarithmic, steps: true });
  }

  curves(lines) {
    const series = lines.map(({ label, stroke, dash }) => ({ label, stroke, dash, points: { show: true, size: 5 }, spanGaps: true }));
    const middles = ({ edges, means }) => [means.map((_, i) => (edges[i] + edges[i + 1]) / 2), means];
    this.plot("chart-curves", merged(lines.map(({ curve }) => middles(curve))), series, { x: "Timestep", y: "Mean loss" });
  }
}

const merged = (tables) => (tables.length ? uPlot.join(tables) : [[]]);
