// What every part of the page uses: elements, figures, data blocks.
const $ = (id) => document.getElementById(id);
const served = document.body.dataset.mode === "served";
const editable = document.body.dataset.edit === "true";

/** An element with properties and children; a text is only ever a text. */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function figure(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  const text = size >= 1e6 || (size < 1e-4 && size > 0) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

const count = (n) => n.toLocaleString("en-US");

/** A text as it is searched in: case and the ways to write an accent make no difference. `item_query.folded` is its twin. */
function folded(text) {
  const lower = text.toLowerCase();
  if (!/[^\x00-\x7f]/.test(lower)) return lower;
  return text.normalize("NFC").toLowerCase().replaceAll("i\u0307", "i").replaceAll("ς", "σ").replaceAll("ß", "ss");
}

/** The data block of a name. */
const unpack = (name) => unpacked($(`block-${name}`)).json();

async function fetchJson(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${response.status}: ${(await response.text()).slice(0, 300)}`);
  return response.json();
}

let toastTimer;
function toast(text) {
  (document.querySelector("dialog[open]") ?? document.body).append($("toast")); // what is behind a dialog is not seen
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

function download(name, parts, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function later(milliseconds, work) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}
