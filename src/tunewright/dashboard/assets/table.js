// A table with sorting and pages: of any length, only the rows of one page are elements.
import {h, setText, emptyNote} from "./dom.js";
import {formatCount} from "./format.js";

const HEADER_HEIGHT = 60,
  LONG_TEXT = 24;

/**
 * columns: `{title, text(row), sort(row), fill(cell, row), isNumber}`; `fill` builds a cell that is more than a text.
 * rows() returns all rows; the table asks again at each draw.
 */
export class DataTable {
  constructor(
    container,
    {label, columns, rows, pageSize = 50, sort = null, isDescending = false, page = 0, empty = "No rows.", rowClass, kind = "", onchange},
  ) {
    Object.assign(this, {label, columns, rows, pageSize, sort, isDescending, page, rowClass, onchange});
    this.emptyText = typeof empty === "function" ? empty : () => empty;
    this.head = h("thead", {});
    this.body = h("tbody", {});
    this.empty = emptyNote("");
    this.scroll = h(
      "div",
      {class: "scroll", tabindex: "0", role: "region", "aria-label": label},
      h("table", {class: `data ${kind}`}, this.head, this.body),
    );
    this.position = h("span", {class: "small"});
    this.previous = h("button", {type: "button", onclick: () => this.turn(-1)}, "Previous");
    this.next = h("button", {type: "button", onclick: () => this.turn(1)}, "Next");
    this.pager = h("div", {class: "pager"}, this.previous, this.position, this.next);
    container.append(this.scroll, this.empty, this.pager);
    this.setColumns(columns);
  }

  setColumns(columns) {
    const signature = columns.map(column => column.title).join("\u0000");
    const isSame = signature === this.signature;
    this.columns = columns;
    if (isSame) return;
    this.signature = signature;
    this.body.replaceChildren();
    this.head.replaceChildren(
      h(
        "tr",
        {},
        columns.map((column, index) =>
          h(
            "th",
            {scope: "col", class: column.isNumber ? "number" : null},
            column.sort
              ? h("button", {type: "button", title: column.title, onclick: () => this.sortBy(index)}, column.title)
              : column.title,
          ),
        ),
      ),
    );
  }

  sortBy(index) {
    const title = this.columns[index].title;
    if (this.sort === title) this.isDescending = !this.isDescending;
    else [this.sort, this.isDescending] = [title, false];
    this.page = 0;
    this.draw();
    this.onchange?.(this);
  }

  turn(step) {
    this.page += step;
    this.draw();
    this.scroll.scrollTop = 0;
    const top = this.scroll.getBoundingClientRect().top;
    if (top < 0) scrollBy(0, top - HEADER_HEIGHT);
    this.onchange?.(this);
  }

  /** Rows in the order of the table; missing values come last in both directions. */
  ordered() {
    const rows = this.rows(),
      column = this.columns.find(({title}) => title === this.sort);
    if (!column?.sort) return rows;
    const sign = this.isDescending ? -1 : 1;
    const isMissing = key => key === null || key === undefined || Number.isNaN(key);
    const compare = (a, b) => {
      if (isMissing(a.key) || isMissing(b.key)) return isMissing(a.key) - isMissing(b.key) || a.index - b.index;
      const difference =
        typeof a.key === "number" && typeof b.key === "number"
          ? a.key - b.key
          : String(a.key).localeCompare(String(b.key), "en", {numeric: true});
      return sign * difference || a.index - b.index;
    };
    return rows
      .map((row, index) => ({row, index, key: column.sort(row)}))
      .sort(compare)
      .map(({row}) => row);
  }

  draw() {
    const rows = this.ordered(),
      n = rows.length,
      pages = Math.max(1, Math.ceil(n / this.pageSize));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const first = this.page * this.pageSize,
      shown = rows.slice(first, first + this.pageSize);
    this.columns.forEach((column, index) => {
      const cell = this.head.rows[0].cells[index];
      if (column.title === this.sort) cell.setAttribute("aria-sort", this.isDescending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    while (this.body.rows.length > shown.length) this.body.lastChild.remove();
    shown.forEach((row, index) => this.fillRow(this.body.rows[index] ?? this.addRow(), row));
    this.n = n;
    this.scroll.hidden = !n;
    this.empty.hidden = n > 0;
    setText(this.empty, n ? "" : this.emptyText());
    this.pager.hidden = pages === 1;
    setText(this.position, `${formatCount(first + 1)}\u2013${formatCount(first + shown.length)} of ${formatCount(n)}`);
    this.previous.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
  }

  addRow() {
    const row = h(
      "tr",
      {},
      this.columns.map(column =>
        h("td", {
          class: [column.isNumber ? "number" : "", column.isLong ? "long" : "", column.isWide ? "wide" : ""].join(" ").trim() || null,
          "data-label": column.title,
        }),
      ),
    );
    this.body.append(row);
    return row;
  }

  /** Write a row; cells whose text is the same stay as they are. */
  fillRow(element, row) {
    element.className = this.rowClass?.(row) ?? "";
    this.columns.forEach((column, index) => {
      const cell = element.cells[index],
        text = column.text(row);
      if (cell.dataset.text === text) return;
      cell.dataset.text = text;
      if (column.fill) {
        cell.replaceChildren();
        column.fill(cell, row);
      } else setText(cell, text);
      if (column.isLong || text.length > LONG_TEXT) cell.title = text;
      else cell.removeAttribute("title");
    });
  }
}
