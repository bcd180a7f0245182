// The ranking of datasets: sorted by a click on a title, searched where there are many.
const Ranking = {
  column: 1,
  descending: true,

  start() {
    document.body.addEventListener("click", (event) => {
      const button = event.target.closest(".sortable .sorter");
      if (!button) return;
      const column = button.closest("th").cellIndex;
      const first = button.dataset.text === undefined; // the worst first
      this.descending = column === this.column ? !this.descending : first;
      this.column = column;
      this.sort();
    });
    document.body.addEventListener("input", (event) => event.target.id === "ranking-search" && this.search(event.target.value));
  },

  sort() {
    const table = document.querySelector(".sortable");
    if (!table) return;
    const titles = [...table.tHead.rows[0].cells];
    for (const [i, title] of titles.entries()) {
      if (i === this.column) title.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else title.removeAttribute("aria-sort");
    }
    const text = titles[this.column].querySelector("[data-text]");
    const value = (row) => {
      const cell = row.cells[this.column];
      return text ? cell.textContent.trim().toLowerCase() : cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
    };
    const sign = this.descending ? -1 : 1;
    const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => (a !== a || b !== b ? Number(a !== a) - Number(b !== b) : a === b ? 0 : a < b ? -sign : sign));
    table.tBodies[0].replaceChildren(...rows.map(([, row]) => row));
  },

  search(text) {
    const wanted = folded(text.trim());
    for (const row of document.querySelector(".sortable").tBodies[0].rows) {
      row.hidden = !folded(row.cells[0].title).includes(wanted);
    }
  },
};
