// Where the table's rows come from: the file itself, or the server. Both answer the same questions:
//   columns()                      what there is
//   query({search, dataset, reason, bounds, sort, page, size}) -> {rows, total}
//   all(filter, n)                 up to n rows that match
//   history(dataset, path)         the records of an item, or null where the page has none
//   at(step)                       from now on of that save step, null for the newest figures; gives the page's parts

const NO_FIGURE = -32768;
const TENS = Float64Array.from({ length: 400 }, (_, power) => 10 ** power); // a power takes longer than a look
const key = (dataset, path) => `${dataset}\u0000${path}`;

/** A column of figures: in planes of a byte for each, its digits and its power of ten as signed 16-bit integers. */
function figures(bytes, rows) {
  const [low, high, lowPower, highPower] = [0, 1, 2, 3].map((i) => bytes.subarray(i * rows, (i + 1) * rows));
  const signed = (low, high) => ((high << 24) >> 16) | low;
  const found = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const digits = signed(low[i], high[i]), power = signed(lowPower[i], highPower[i]);
    found[i] = digits === NO_FIGURE ? NaN : power < 0 ? digits / TENS[-power] : digits * TENS[power];
  }
  return found;
}

class FileSource {
  static async open() {
    const figures = unpacked($("block-figures")).arrayBuffer();
    return new FileSource(await unpack("items"), new Uint8Array(await figures), await unpack("histories"), await unpack("files"));
  }

  constructor(block, packed, histories, files) {
    this.block = block;
    this.histories = histories;
    this.files = files;
    this.data = block.data;
    if (this.data.path) {
      const { folder, name } = this.data.path;
      this.data.path = name.map((text, i) => folder.texts[folder.index[i]] + text);
    }
    this.flagsTitle = block.flags_title;
    this.otherTexts = block.columns.filter(({ name, kind }) => kind === "text" && !["dataset", "path", "caption"].includes(name)).map(({ name }) => name);
    this.numbers = block.columns.filter((column) => column.kind !== "text").map((column) => column.name);
    this.newest = this.figures(this.data, packed);
    this.pictures = new Map();
    for (const image of document.querySelectorAll(".card img[src]")) this.pictures.set(image.closest("button").dataset.path, image.src);
    this.use(this.newest, block.flags, block.rules);
  }

  /** The columns of numbers: integers as they are, the others from their packed bytes. */
  figures(integers, packed) {
    const found = {};
    const size = 4 * this.block.rows;
    let start = 0;
    for (const { name, kind } of this.block.columns) {
      if (kind === "integer") found[name] = Float64Array.from(integers[name], (v) => v ?? NaN);
      if (kind !== "number") continue;
      found[name] = figures(packed.subarray(start, start + size), this.block.rows);
      start += size;
    }
    return found;
  }

  use(numbers, flags, rules) {
    Object.assign(this.data, numbers);
    this.rules = rules;
    this.flags = new Map(flags.map(([dataset, path, reasons]) => [key(dataset, path), reasons]));
    this.reasons = new Array(this.block.rows);
    const flagged = new Set(flags.map(([, path]) => path));
    for (let i = 0; i < this.block.rows; i++) {
      if (flagged.has(this.data.path[i])) this.reasons[i] = this.flags.get(key(this.dataset(i), this.data.path[i]));
    }
    this.matching = { filter: null, places: null };
    this.sorted = { order: null, places: null };
  }

  async at(step) {
    this.parts ??= Object.fromEntries(PARTS.map((id) => [id, $(id).innerHTML]));
    this.step = step;
    if (step === null) {
      this.use(this.newest, this.block.flags, this.block.rules);
      return { parts: this.parts };
    }
    this.steps ??= await unpack("steps");
    this.earlierPictures ??= await unpack("pictures");
    const found = this.steps.find((earlier) => earlier.step === step);
    const packed = $(`block-figures-${step}`);
    if (packed) {
      const bytes = new Uint8Array(await unpacked(packed).arrayBuffer());
      this.use(this.figures(await unpack(`integers-${step}`), bytes), found.flags, found.rules);
      return { parts: found.parts };
    }
    this.use(this.newest, found.flags, found.rules);
    const command = element("code", { textContent: `loss-logging html ${document.body.dataset.run}@${step}` });
    return { parts: found.parts, note: ["The figures in this table are those of the newest save step: the page has no room for more. The page of this step: ", command] };
  }

  pictureAt(path) {
    return this.pictures.get(path) ?? this.earlierPictures?.[path] ?? null;
  }

  /** Addresses of an item's image and caption file, where they are known. */
  links(row) {
    const [image, caption] = this.files[row.path] ?? [];
    return [image && ["Open image", image], caption && ["Open caption file", caption]].filter(Boolean);
  }

  columns() {
    return this.block.columns;
  }

  datasets() {
    return this.data.dataset?.texts ?? [];
  }

  allReasons() {
    return [...new Set([...this.flags.values()].flatMap((reasons) => reasons.split(", ")))].sort();
  }

  dataset(i) {
    return this.data.dataset.texts[this.data.dataset.index[i]];
  }

  row(i) {
    const row = { id: i, dataset: this.dataset(i), path: this.data.path[i], caption: this.data.caption?.[i] ?? "" };
    for (const name of this.numbers) row[name] = Number.isNaN(this.data[name][i]) ? null : this.data[name][i];
    for (const name of this.otherTexts) row[name] = this.data[name][i];
    row.flags = this.reasons[i] ?? "";
    return row;
  }

  find(dataset, path) {
    for (let i = 0; i < this.block.rows; i++) {
      if (this.data.path[i] === path && this.dataset(i) === dataset) return this.row(i);
    }
    return null;
  }

  /** Places of the rows that match, in the order asked for; what was found last is kept, so that paging costs nothing. */
  places({ search, dataset, reason, bounds, sort }) {
    const filter = JSON.stringify([search, dataset, reason, bounds]);
    if (this.matching.filter !== filter) {
      this.matching = { filter, places: this.match(search, dataset, reason, bounds) };
      this.sorted.order = null;
    }
    const order = JSON.stringify(sort);
    if (this.sorted.order !== order) this.sorted = { order, places: this.sort(this.matching.places, sort) };
    return this.sorted.places;
  }

  match(search, dataset, reason, bounds) {
    const wanted = folded(search), part = folded(dataset);
    // Made once, at the first search: what is typed is looked for in one text per row.
    if (wanted && !this.texts) {
      this.texts = this.data.path.map((path, i) => folded(`${path}\n${this.data.caption[i]}`));
    }
    const names = this.datasets().map((name) => folded(name).includes(part));
    const places = [];
    const there = this.data.count; // at an earlier save step some items had not been seen
    for (let i = 0; i < this.block.rows; i++) {
      if (there && Number.isNaN(there[i])) continue;
      if (dataset && !names[this.data.dataset.index[i]]) continue;
      if (reason && !(this.reasons[i] ?? "").split(", ").includes(reason)) continue;
      if (!bounds.every(({ field, low, high }) => this.data[field][i] >= low && this.data[field][i] <= high)) continue;
      if (wanted && !this.texts[i].includes(wanted)) continue;
      places.push(i);
    }
    return Uint32Array.from(places);
  }

  sort(places, sort) {
    if (!sort.length) return places;
    const { field, descending } = sort[0];
    const sign = descending ? -1 : 1;
    const values = field === "dataset" ? this.data.dataset.index.map((i) => this.datasets()[i]) : this.data[field];
    const compare = values instanceof Float64Array ? this.byNumber(values, sign) : this.byText(values, sign);
    return places.slice().sort(compare);
  }

  byNumber(values, sign) {
    return (a, b) => {
      const x = values[a], y = values[b];
      if (x !== x || y !== y) return x !== x && y !== y ? a - b : x !== x ? 1 : -1; // what has no figure comes last
      return x === y ? a - b : sign * (x - y);
    };
  }

  byText(values, sign) {
    return (a, b) => (values[a] === values[b] ? a - b : values[a] < values[b] ? -sign : sign);
  }

  async query(request) {
    const places = this.places(request);
    const start = (request.page - 1) * request.size;
    const rows = Array.from(places.subarray(start, start + request.size), (i) => this.row(i));
    return { rows, total: places.length };
  }

  async all(filter, most) {
    return Array.from(this.places(filter).subarray(0, most), (i) => this.row(i));
  }

  async history(dataset, path) {
    return this.histories[dataset]?.[path] ?? null;
  }

  get hasHistory() {
    return Boolean($("losses"));
  }

  picture(row) {
    return this.pictureAt(row.path);
  }
}
