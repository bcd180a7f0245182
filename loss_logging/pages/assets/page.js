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

async function start() {
  const whenChanged = theme();
  const charts = new Charts();
  whenChanged(() => charts.draw());
  charts.show(served ? await fetchJson("api/charts") : await unpack("charts"));
  const source = served ? await ServedSource.open() : await FileSource.open();
  const details = new Details(source);
  const table = new Table(source, (row) => details.open(row));
  if (served) {
    explainMissingPictures();
    follow(source, charts, table);
  }
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  $("table-status").textContent = `The page could not be put together: ${error.message}`;
  throw error;
});
