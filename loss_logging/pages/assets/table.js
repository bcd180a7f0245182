// The table of items, its filters, the selection and what can be done with it.
const MOST_COPIED = 1_000_000;
const NUMBER = "[-+]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][-+]?\\d+)?";

/** ">0.5", "<=1", "0.2..0.4", "3" as bounds; null when it is none of them. Includes the bound: figures are rounded. */
function bounds(field, text) {
  const trimmed = text.replace(/\s/g, "").replace(/−/g, "-");
  const range = trimmed.match(new RegExp(`^(${NUMBER})\\.\\.(${NUMBER})$`));
  if (range) return { field, low: Number(range[1]), high: Number(range[2]) };
  const side = trimmed.match(new RegExp(`^([<>]?)=?(${NUMBER})$`));
  if (!side) return null;
  const value = Number(side[2]);
  return { field, low: side[1] === "<" ? -Infinity : value, high: side[1] === ">" ? Infinity : value };
}

class Table {
  constructor(source, open) {
    this.source = source;
    this.open = open;
    this.selected = new Map();
    this.total = 0;
    this.bounds = new Map();
    this.refresh = later(served ? 250 : 0, () => this.grid.setPage(1));
    this.restore();
    this.grid = new Tabulator("#table", this.options());
    this.built = new Promise((done) => {
      this.grid.on("tableBuilt", () => {
        this.afterBuilt();
        done();
      });
    });
  }

  options() {
    const columns = this.source.columns();
    return {
      layout: "fitColumns",
      height: "min(70vh, 640px)",
      placeholder: "No item matches.",
      columnDefaults: { headerTooltip: true, resizable: "header", minWidth: 84 },
      columns: this.allColumns(),
      index: "id",
      rowHeight: 2.25 * parseFloat(getComputedStyle(document.documentElement).fontSize), // measured, each cell costs a layout
      pagination: true,
      paginationMode: "remote",
      sortMode: "remote",
      paginationElement: $("pages"), // beside the grid, in which only rows may be
      paginationSize: 50,
      paginationSizeSelector: [25, 50, 100, 250],
      paginationCounter: () => "",
      initialSort: this.initialSort(columns),
      headerSortTristate: true,
      ajaxURL: "items",
      ajaxRequestFunc: (_url, _config, params) => this.load(params),
      rowFormatter: (row) => row.getElement().classList.toggle("chosen", this.selected.has(this.keyOf(row.getData()))),
    };
  }

  /** What the address says of filters, which somebody else may have set. */
  restore() {
    $("search").value = Address.get("search");
    $("dataset-filter").value = Address.get("dataset");
    this.asksFor = Address.get("flagged");
    if (!editable) return;
    $("decision-filter").value = Address.get("decision");
    if ($("decision-filter").selectedIndex === -1) $("decision-filter").value = ""; // there is no such decision
  }

  initialSort(columns) {
    const there = (name) => columns.some((column) => column.name === name);
    const [field, dir] = Address.get("sort").split(":");
    if (field && there(field)) return [{ column: field, dir: dir === "asc" ? "asc" : "desc" }];
    const first = ["hard", "average_loss"].find(there);
    return first ? [{ column: first, dir: "desc" }] : [];
  }

  allColumns() {
    const last = (column) => Number(column.name.startsWith("caption") && column.kind === "text"); // what is long comes after what is compared
    const decided = editable || this.source.columns().some(({ name, shown }) => name === "decision" && shown);
    const columns = this.source.columns().filter(({ name }) => name !== "decision").sort((a, b) => last(a) - last(b));
    return [this.checkColumn(), ...columns.map((column) => this.column(column)), this.flagsColumn(), ...(decided ? [this.decisionColumn()] : [])];
  }

  checkColumn() {
    return {
      title: "", field: "chosen", headerSort: false, width: 44, minWidth: 44, resizable: false, hozAlign: "center",
      titleFormatter: () => {
        const box = element("input", { type: "checkbox", ariaLabel: "Select the rows of this page" });
        box.addEventListener("change", () => this.selectPage(box.checked));
        this.pageBox = box;
        return box;
      },
      formatter: (cell) => {
        const row = cell.getData();
        const box = element("input", { type: "checkbox", checked: this.selected.has(this.keyOf(row)), ariaLabel: `Select ${row.path}` });
        box.addEventListener("change", () => {
          this.select(row, box.checked);
          cell.getRow().reformat();
        });
        return box;
      },
    };
  }

  column({ name, title, help, kind, shown }) {
    const number = kind !== "text";
    return {
      title, field: name, headerTooltip: help || title, visible: shown && !(kind === "text" && name.startsWith("caption") && innerWidth < 600),
      hozAlign: number ? "right" : "left",
      headerSortStartingDir: number ? "desc" : "asc", // the worst first
      widthGrow: { caption: 4, caption_before: 4, path: 2 }[name] ?? 1,
      minWidth: name === "caption_mismatch" ? 130 : 84,
      titleFormatter: () => this.title(name, title, number),
      formatter: name === "path" ? (cell) => this.pathCell(cell) : number ? (cell) => figureCell(name, cell.getData()) : (cell) => element("bdi", { textContent: cell.getValue() }),
      tooltip: number ? false : (_event, cell) => element("span", { className: "long", textContent: cell.getValue() }),
    };
  }

  /** The title, which sorts, and where the column holds figures an input that filters by them. */
  title(name, title, number) {
    const button = element("button", { type: "button", className: "sorter", textContent: title });
    if (!number) return button;
    if (!this.bounds.has(name)) {
      const input = element("input", { className: "bound", placeholder: "…", value: Address.get(`where.${name}`), autocomplete: "off", ariaLabel: `${title}: filter, such as >0.5` });
      for (const event of ["click", "keydown", "mousedown"]) input.addEventListener(event, (e) => e.stopPropagation());
      input.addEventListener("input", this.refresh);
      this.bounds.set(name, input);
    }
    return element("div", {}, button, this.bounds.get(name));
  }

  flagsColumn() {
    return {
      title: this.source.flagsTitle ?? "Flags", field: "flags", headerSort: false, widthGrow: 1.5,
      headerTooltip: this.source.flagsTitle ?? "What the caption rules object to, of the captions that the report lists.",
      formatter: (cell) => element("span", { className: "chips" }, ...(cell.getValue() || "").split(", ").filter(Boolean).map((reason) => element("span", { className: `chip ${this.source.rules[reason] ?? ""}`, textContent: reason }))),
    };
  }

  decisionColumn() {
    return {
      title: "Decision", field: "decision", headerSort: false, headerTooltip: "What was decided about it.", width: 96,
      formatter: (cell) => element("span", { className: "chips" }, ...(cell.getValue() ? [element("span", { className: `chip ${cell.getValue()}`, textContent: DECIDED[cell.getValue()] })] : [])),
    };
  }

  /** A path without the folder that all rows share; what is too long loses its middle, as paths differ at both ends. */
  pathCell(cell) {
    const path = cell.getValue();
    const rest = path.slice(this.folder?.length ?? 0) || path;
    const cut = Math.max(rest.lastIndexOf("/"), rest.lastIndexOf("\\"));
    const text = element("bdi", {}, element("span", { className: "folder", textContent: rest.slice(0, cut + 1) }), element("span", { className: "file", textContent: rest.slice(cut + 1) }));
    const button = element("button", { type: "button", className: "open link path", title: path }, text);
    button.addEventListener("click", () => this.open(cell.getData(), this.grid.getRows().map((row) => row.getData())));
    return button;
  }

  /** What the address asks for and this page, or this save step, does not have: it may be a link to another one. */
  missing(figures) {
    const asked = [...Address.values.keys()].filter((name) => name.startsWith("where.")).map((name) => name.slice("where.".length));
    const unknown = asked.filter((field) => !figures.has(field)).map((field) => `There is no figure “${field.slice(0, 40)}” here, so nothing is filtered by it.`);
    if (!this.asksFor || this.source.allReasons().includes(this.asksFor)) return unknown;
    return [...unknown, `No caption here is flagged “${this.asksFor.slice(0, 40)}”, so nothing is filtered by that.`];
  }

  filter() {
    const figures = new Set(this.source.columns().filter(({ kind }) => kind !== "text").map(({ name }) => name));
    const found = [], problems = this.missing(figures), kept = {};
    for (const [field, input] of this.bounds) {
      if (!figures.has(field)) continue; // another save step has it
      const bound = bounds(field, input.value);
      const bad = input.value.trim() !== "" && bound === null;
      input.setAttribute("aria-invalid", String(bad));
      if (bad) problems.push(`“${input.value.trim().slice(0, 40)}” is no figure, so ${input.ariaLabel.split(":")[0]} is not filtered: write >0.5, <0.1 or 0.2..0.4.`);
      if (bound) found.push(bound);
      kept[`where.${field}`] = input.value.trim();
    }
    $("filter-problem").textContent = problems.join(" ");
    $("filter-problem").hidden = problems.length === 0;
    const asked = { search: $("search").value, dataset: $("dataset-filter").value, reason: $("reason-filter").value, ...(editable ? { decision: $("decision-filter").value } : {}) };
    Address.set({ ...kept, search: asked.search, dataset: asked.dataset, flagged: asked.reason || this.asksFor, ...(editable ? { decision: asked.decision } : {}) });
    return { ...asked, bounds: found };
  }

  /** Whether anything narrows down what is in the table. */
  get filtered() {
    const { search, dataset, reason, decision, bounds } = this.asked ?? { search: "", dataset: "", reason: "", bounds: [] };
    return Boolean(search || dataset || reason || decision || bounds.length);
  }

  load(question) {
    this.loading = this.answer(question);
    return this.loading;
  }

  async answer({ page, size, sort }) {
    const order = (sort ?? []).map(({ field, dir }) => ({ field, descending: dir === "desc" }));
    this.asked = { ...this.filter(), sort: order };
    Address.set({ sort: sort?.length ? `${sort[0].field}:${sort[0].dir}` : "" });
    const { rows, total, note } = await this.source.query({ ...this.asked, page: page ?? 1, size });
    this.total = total;
    this.folder = commonFolder(rows.map((row) => row.path));
    $("common-folder").replaceChildren(...(this.folder ? ["Paths are in ", element("code", { textContent: this.folder.length > 160 ? `${this.folder.slice(0, 60)}…${this.folder.slice(-99)}` : this.folder })] : []));
    this.status(note);
    if (this.pageBox) this.pageBox.checked = rows.length > 0 && rows.every((row) => this.selected.has(this.keyOf(row)));
    return { data: rows, last_page: Math.max(1, Math.ceil(total / size)), last_row: total };
  }

  afterBuilt() {
    document.querySelector("#table .tabulator-tableholder").removeAttribute("tabindex"); // its rows can be reached
    for (const id of ["search", "dataset-filter", "reason-filter", ...(editable ? ["decision-filter"] : [])]) $(id).addEventListener("input", this.refresh);
    $("reason-filter").addEventListener("input", () => (this.asksFor = ""));
    this.offer();
    const menu = $("columns").parentElement;
    document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
    menu.addEventListener("keydown", (event) => event.key === "Escape" && (menu.open = false));
    $("clear-selection").addEventListener("click", () => this.clear());
    $("copy-paths").addEventListener("click", () => this.copy());
    $("download-csv").addEventListener("click", () => this.downloadCsv());
    $("download-list").addEventListener("click", () => this.downloadList());
  }

  /** What can be chosen: datasets, reasons, columns. */
  offer() {
    $("dataset-names").replaceChildren(...this.source.datasets().slice(0, 1000).map((name) => element("option", { value: name })));
    $("reason-filter").replaceChildren($("reason-filter").firstElementChild, ...this.source.allReasons().map((name) => element("option", { value: name, textContent: name })));
    $("columns").replaceChildren(...this.grid.getColumns().filter((column) => column.getField() !== "chosen").map((column) => this.columnBox(column)));
    if (!this.asksFor || !this.source.allReasons().includes(this.asksFor)) return;
    $("reason-filter").value = this.asksFor;
    this.asksFor = "";
    this.refresh();
  }

  columnBox(column) {
    const box = element("input", { type: "checkbox", checked: column.isVisible() });
    box.addEventListener("change", () => (box.checked ? column.show() : column.hide()));
    return element("label", { className: "check" }, box, column.getDefinition().title);
  }

  /** The same question again, to a source that has something new; what has the focus keeps it. */
  async renew(source) {
    await this.settled();
    const known = this.source.columns().map((column) => column.name).join();
    this.source = source;
    const changed = source.columns().map((column) => column.name).join() !== known;
    if (changed) this.grid.setColumns(this.allColumns());
    if (changed || this.asksFor) this.offer();
    await this.grid.replaceData();
  }

  /** An answer that comes after the next question is dropped by the grid, with a warning in the console. */
  async settled() {
    await Promise.allSettled([this.loading]);
    await new Promise((done) => setTimeout(done)); // the grid has it now
  }

  keyOf(row) {
    return key(row.dataset, row.path);
  }

  select(row, wanted) {
    if (wanted) this.selected.set(this.keyOf(row), row);
    else this.selected.delete(this.keyOf(row));
    this.status();
  }

  selectPage(wanted) {
    for (const row of this.grid.getRows()) {
      this.select(row.getData(), wanted);
      row.reformat();
    }
  }

  clear() {
    this.selected.clear();
    for (const row of this.grid.getRows()) row.reformat();
    if (this.pageBox) this.pageBox.checked = false;
    this.status();
  }

  status(note = "") {
    const n = this.selected.size;
    const matching = `${count(this.total)} ${this.total === 1 ? "item matches" : "items match"}`;
    $("table-status").textContent = [n ? `${count(n)} selected of ${count(this.total)} that match` : matching, note].filter(Boolean).join(". ");
    $("clear-selection").hidden = n === 0;
    const what = n ? `${count(n)} selected` : this.filtered ? `${count(this.total)} that match` : "";
    for (const [id, title] of [["copy-paths", "Copy paths"], ["download-list", "Download exclude list"]]) {
      $(id).textContent = what ? `${title} (${what})` : title;
      $(id).disabled = !what;
      $(id).title = what ? "" : "Select rows, or filter, first";
    }
    $("download-csv").textContent = `Download CSV (${what || `all ${count(this.total)} items`})`;
  }

  /** The selection, or everything that matches when nothing is selected. */
  async rows() {
    return this.selected.size ? [...this.selected.values()] : this.source.all(this.asked, MOST_COPIED);
  }

  async copy() {
    const rows = await this.rows();
    await copyText(rows.map((row) => row.path).join("\n"));
    toast(`${count(rows.length)} ${rows.length === 1 ? "path" : "paths"} copied`);
  }

  async downloadCsv() {
    if (!this.selected.size && this.source.downloadAll) return this.source.downloadAll(this.asked, "csv");
    const names = [...this.source.columns().map((column) => column.name), "flags"];
    const lines = (await this.rows()).map((row) => names.map((name) => csvCell(row[name])).join(","));
    download("items.csv", [[names.join(","), ...lines, ""].join("\r\n")], "text/csv");
  }

  async downloadList() {
    if (!this.selected.size && this.source.downloadAll) return this.source.downloadAll(this.asked, "txt");
    const paths = [...new Set((await this.rows()).map((row) => row.path))];
    const plain = paths.filter((path) => !/[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/.test(path));
    if (plain.length < paths.length) toast(`${count(paths.length - plain.length)} paths hold a line break and are left out`);
    const unread = /^(?:[#\ufeff]|\s*$)/; // a remark, a byte order mark, or a line without a path
    download("exclude.txt", [plain.map((path) => `${unread.test(path) ? "./" : ""}${path}\n`).join("")], "text/plain");
  }
}

const DECISIVE_PAIRS = Number(document.body.dataset.decisivePairs);

/** A figure, with its standard error where it has one, and paler where it decides nothing. */
function figureCell(name, row) {
  if (name !== "caption_mismatch" || row[name] === null || row.standard_error === undefined) return figure(row[name]);
  const undecided = row.n_paired < DECISIVE_PAIRS;
  const error = row.standard_error === null ? "" : ` ± ${figure(row.standard_error, 2)}`;
  return element("span", { className: undecided ? "undecided" : "", title: undecided ? `undecided: fewer than ${DECISIVE_PAIRS} pairs` : "" }, figure(row[name], 3), element("small", { textContent: error }));
}

/** The folder that all paths lie in, with the slash at its end. */
function commonFolder(paths) {
  if (paths.length < 2) return "";
  let common = paths[0];
  for (const path of paths) while (!path.startsWith(common)) common = common.slice(0, -1);
  return common.slice(0, Math.max(common.lastIndexOf("/"), common.lastIndexOf("\\")) + 1);
}

/** A cell that no spreadsheet runs as a formula. */
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A file:// page has no clipboard in some browsers; the older way works there.
    const area = element("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
