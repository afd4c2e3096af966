// A report as the server prepares it: finding, warnings, and sections with tables, charts and lines to copy.
import {card, clampedText, commandLine, emptyNote, h} from "./dom.js";
import {DataTable} from "./table.js";
import {drawReportChart} from "./report_charts.js";

const SHOWN_WARNINGS = 8;

/** Show a report in a container; returns its charts, for the caller to dispose of. `link` makes the address of a view, if there are views. */
export function renderReport(container, page, link = null) {
  const charts = [];
  container.append(h("section", {class: "report-head"},
    link ? null : h("h1", {}, page.title),
    h("p", {class: "headline"}, clampedText(page.headline)),
    h("p", {}, page.lead),
    h("p", {class: "small"}, page.made),
    page.warnings.length ? warningBox(page.warnings) : null));
  for (const section of page.sections) container.append(renderSection(section, charts, link));
  if (page.guide.length) container.append(renderGuide(page.guide));
  return charts;
}

/** Limits of a report, the first ones open. */
function warningBox(warnings) {
  const items = texts => h("ul", {}, texts.map(text => h("li", {}, text)));
  const others = warnings.slice(SHOWN_WARNINGS);
  return h("div", {class: "warning", role: "note"}, h("strong", {}, "Before you believe it"), items(warnings.slice(0, SHOWN_WARNINGS)),
    others.length ? h("details", {}, h("summary", {}, `${others.length} more`), items(others)) : null);
}

/** One section as a card. */
function renderSection(section, charts, link) {
  const body = card(section.title, null);
  if (section.text || section.alert) body.append(h("p", {}, section.text, section.alert ? h("strong", {}, ` ${section.alert}`) : null));
  if (section.steps.length) body.append(renderSteps(section.steps));
  if (section.table) renderTable(body, section.title, section.table);
  if (section.code) body.append(...section.code.split("\n").filter(Boolean).map(commandLine));
  for (const chart of section.charts) charts.push(...drawReportChart(body, section.title, chart));
  if (section.tests) renderTests(body, section.tests);
  for (const [caption, lines] of Object.entries(section.outputs)) body.append(h("h3", {}, caption), h("pre", {tabindex: "0"}, lines));
  if (section.note) body.append(h("p", {class: "small"}, section.note));
  if (section.view && link) body.append(h("p", {class: "more"}, h("a", {href: link(section.view)}, `Show ${section.view}`)));
  return body;
}

/** Advice, each with its command. */
function renderSteps(steps) {
  return h("ul", {class: "steps"}, steps.map(step => h("li", {}, step.text, step.command ? commandLine(step.command) : null)));
}

function renderTests(body, tests) {
  if (!tests.is_folded) {
    body.append(h("h3", {}, tests.caption));
    renderTable(body, tests.caption, tests.table);
    return;
  }
  const details = h("details", {}, h("summary", {}, tests.caption));
  renderTable(details, tests.caption, tests.table);
  body.append(details);
}

function renderTable(body, label, table) {
  if (!table.rows.length) {
    body.append(emptyNote("No rows."));
    return;
  }
  const columns = table.head.map((title, index) => ({
    title,
    isNumber: table.rows.every(row => isNumberCell(row[index])),
    text: row => row[index].text,
    sort: table.rows.some(row => row[index].number !== null)
      ? row => row[index].number
      : table.rows.every(row => isNumberCell(row[index]))
        ? row => Number.parseFloat(row[index].text)
        : row => row[index].text,
    fill: (cell, row) => cell.append(row[index].mark ? h("span", {class: `mark-${row[index].mark}`}, row[index].text) : row[index].text),
  }));
  new DataTable(body, {label: `Table: ${label}`, columns, rows: () => table.rows, pageSize: 100}).draw();
}

/** Whether a cell holds a number, or a dash in place of one. */
function isNumberCell({text, number}) {
  return number !== null || text === "" || text === "-" || Number.isFinite(Number(text));
}

function renderGuide(guide) {
  return card("How to read this", null, h("dl", {class: "guide"}, guide.flatMap(([term, meaning]) => [h("dt", {}, term), h("dd", {}, meaning)])));
}
