// Charts of comparisons, from the data of tunewright.analysis.charts: lines with bands, intervals by row, and ranks on a line.
import {foldedTable, h, redraw, svg} from "./dom.js";
import {Chart, DASHES, MARKERS, PALETTE, axis, drawLegend, hiddenLegend, isNarrowPage, plotGrid, tooltip, upAxis} from "./charts.js";
import {formatNumber, shortened} from "./format.js";

const RANK_WIDTH = 760, RANK_SIDE = 230, RANK_LEAST = 280, RANK_ROW = 34;

/** Draw a chart into a container; returns the charts to dispose of. */
export function drawReportChart(container, title, chart) {
  if (chart.kind === "ranks") {
    const figure = rankFigure(chart);
    container.append(figure.element);
    return [figure];
  }
  const panels = h("div", {class: chart.panels.length > 1 ? "panels" : "panels one"});
  const draw = chart.kind === "lines" ? linePanel : intervalPanel;
  container.append(panels, h("p", {class: "small"}, chart.text));
  return chart.panels.map(panel => draw(panels, chart, panel, title));
}

/** Colour, marker and dash of a setup, by its place among all. */
function setupLook(labels, label) {
  const place = Math.max(0, labels.indexOf(label));
  return {colour: PALETTE[place % PALETTE.length], marker: MARKERS[place % MARKERS.length], dash: DASHES[Math.floor(place / PALETTE.length) % DASHES.length]};
}

function panelFrame(container, panel) {
  const place = h("figure", {class: "panel"}, h("figcaption", {}, h("strong", {}, panel.title), panel.subtitle ? ` (${panel.subtitle})` : ""));
  container.append(place);
  return place;
}

/** Lines over a common axis, each with its band. */
function linePanel(container, chart, panel, title) {
  const place = panelFrame(container, panel);
  const keys = place.appendChild(h("ul", {class: "legend", "aria-label": "Setups"}));
  const entries = panel.lines.map(line => {
    const look = setupLook(chart.labels, line.label);
    return {name: line.label, colour: look.colour, dash: look.dash};
  });
  drawLegend(keys, entries, () => drawn);
  const drawn = new Chart(place, {label: `${title}: ${panel.title}`, height: 360, build: () => ({
    grid: plotGrid({top: 4}),
    legend: hiddenLegend(entries),
    tooltip: tooltip(points => lineText(panel, points), {trigger: "axis"}),
    xAxis: reportAxis(panel.x, 30),
    yAxis: reportAxis(panel.y, 10, upAxis),
    series: panel.lines.flatMap(line => lineSeries(chart, line)),
  })});
  place.append(foldedTable(
    () => [flat(panel.x.label), ...panel.lines.map(line => line.label)],
    () => sharedX(panel) ? panel.lines[0].x.map((x, i) => [formatNumber(x), ...panel.lines.map(line => formatNumber(line.y[i]))])
      : panel.lines.flatMap(line => line.x.map((x, i) => [formatNumber(x), ...panel.lines.map(other => other === line ? formatNumber(line.y[i]) : "")]))));
  return drawn;
}

const flat = text => text.replaceAll("\n", " ");
const sharedX = panel => panel.lines.every(line => line.x.length === panel.lines[0].x.length && line.low.length);

function reportAxis(given, gap, make = axis) {
  const isLow = given.low !== null && given.high !== null;
  return make(given.log ? "log" : "value", flat(given.label), {nameGap: gap, inverse: given.inverted, ...(isLow ? {min: given.low, max: given.high, axisLabel: {showMinLabel: false, showMaxLabel: false}} : {})});
}

function lineSeries(chart, line) {
  const look = setupLook(chart.labels, line.label), shade = chart.labels.length <= 5 ? 0.18 : 0.09;
  const every = Math.max(1, Math.floor(line.x.length / 8));
  const offset = Math.floor(chart.labels.indexOf(line.label) / chart.labels.length * every);
  const series = [{
    name: line.label, type: "line", data: line.x.map((x, i) => [x, line.y[i]]), symbol: look.marker, symbolSize: 7, showAllSymbol: true, z: 3,
    symbolKeepAspect: true, lineStyle: {width: 2, type: look.dash}, itemStyle: {color: look.colour},
    showSymbol: true, symbolOffset: [0, 0],
  }];
  series[0].data = series[0].data.map((point, i) => i % every === offset ? point : {value: point, symbol: "none"});
  if (line.low.length) series.push(bandSeries(line.label, look.colour, shade, [...edge(line.x, line.high), ...edge(line.x, line.low).reverse()]));
  if (line.area.length) series.push(bandSeries(line.label, look.colour, 0.18, line.area));
  if (line.dots.length) series.push({name: line.label, type: "scatter", data: line.dots, symbolSize: 4, itemStyle: {color: look.colour, opacity: 0.3}, silent: true, tooltip: {show: false}});
  return series;
}

const edge = (x, y) => x.map((value, i) => [value, y[i]]).filter(point => point[0] !== null && point[1] !== null);

/** A filled polygon, clipped to the plot. */
function bandSeries(name, colour, opacity, corners) {
  return {
    name, type: "custom", silent: true, clip: true, z: 1, data: corners.length ? [corners[0]] : [], tooltip: {show: false}, itemStyle: {color: colour},
    renderItem: (parameters, api) => ({type: "polygon", shape: {points: corners.map(corner => api.coord(corner))}, style: {fill: colour, opacity}}),
  };
}

function lineText(panel, points) {
  const lines = points.filter(point => point.seriesType === "line" && point.value[1] !== null);
  if (!lines.length) return "";
  const sign = panel.y.label.includes("higher is better") ? -1 : 1;
  const sorted = [...lines].sort((a, b) => sign * (a.value[1] - b.value[1])).slice(0, 12);
  return [`${flat(panel.x.label)}: ${formatNumber(lines[0].value[0])}`, ...sorted.map(point => `${point.seriesName}: ${formatNumber(point.value[1])}`)].join("\n");
}

/** A row per setup: its seeds as strokes, the interval as a bar. */
function intervalPanel(container, chart, panel, title) {
  const place = panelFrame(container, panel);
  const names = panel.rows.map(row => row.label);
  const colour = row => setupLook(chart.labels, row.label).colour;
  const drawn = new Chart(place, {label: `${title}: ${panel.title}`, height: panel.rows.length > 8 ? 520 : 320, build: () => ({
    grid: plotGrid(),
    tooltip: tooltip(point => intervalText(panel.rows[point.dataIndex]), {trigger: "item"}),
    xAxis: axis("value", isNarrowPage() ? flat(panel.x.label).replace(" (", "\n(") : flat(panel.x.label), {nameGap: 30, splitNumber: isNarrowPage() ? 3 : 5}),
    yAxis: axis("category", "", {data: names, inverse: true, axisLabel: {width: isNarrowPage() ? 90 : 150, overflow: "truncate", interval: 0}}),
    series: [
      {type: "scatter", silent: true, symbol: "rect", symbolSize: [2, 10], data: panel.rows.flatMap((row, i) => row.values.map(value => ({value: [value, i], itemStyle: {color: colour(row), opacity: 0.5}})))},
      {type: "custom", silent: true, data: panel.rows.map((row, i) => [row.low, i, row.high]), renderItem: (parameters, api) => intervalBar(api, colour(panel.rows[parameters.dataIndex]))},
      {type: "scatter", data: panel.rows.map((row, i) => ({value: [row.centre, i], symbol: setupLook(chart.labels, row.label).marker, itemStyle: {color: colour(row)}})), symbolSize: 11},
    ],
  })});
  place.append(foldedTable(() => ["setup", "low", "centre", "high"], () => panel.rows.map(row => [row.label, ...[row.low, row.centre, row.high].map(value => formatNumber(value))])));
  return drawn;
}

function intervalBar(api, fill) {
  const [x1, y] = api.coord([api.value(0), api.value(1)]), [x2] = api.coord([api.value(2), api.value(1)]);
  return {type: "rect", shape: {x: x1, y: y - 2, width: Math.max(1, x2 - x1), height: 4}, style: {fill, opacity: 0.9}};
}

const intervalText = row => `${row.label}: ${formatNumber(row.centre)} [${formatNumber(row.low)}, ${formatNumber(row.high)}]`;

/** Mean ranks of setups with the groups that do not differ: a diagram at full width, a list of rows where that does not fit. */
function rankFigure(chart) {
  const holder = h("div", {});
  const label = `Mean ranks: ${chart.setups.map(setup => `${setup.name} ${setup.rank.toFixed(2)}`).join(", ")}`;
  const element = h("figure", {class: "panel"}, h("figcaption", {}, flat(chart.text)), holder);
  const draw = () => {
    const width = Math.max(RANK_LEAST, holder.clientWidth), isWide = width >= RANK_WIDTH;
    redraw(holder, isWide ? "wide" : width, () => {
      const [height, parts] = isWide ? rankDiagram(chart) : rankRows(chart, width);
      const size = isWide ? RANK_WIDTH : width;
      return svg("svg", {viewBox: `0 0 ${size} ${height}`, width: size, height, class: "ranks", role: "img", "aria-label": label}, parts);
    });
  };
  const sizes = new ResizeObserver(draw);
  sizes.observe(holder);
  return {element, dispose: () => sizes.disconnect()};
}

/** Marks of an axis of ranks: at most twelve. */
function rankTicks(n) {
  const step = Math.max(1, Math.ceil((n - 1) / 12));
  return Array.from({length: Math.floor((n - 1) / step) + 1}, (_, i) => 1 + i * step);
}

/** A critical-difference diagram: mean ranks on a line, names at both sides, bars over groups that do not differ. */
function rankDiagram(chart) {
  const n = chart.setups.length, half = Math.ceil(n / 2), rank = new Map(chart.setups.map(setup => [setup.label, setup.rank]));
  const top = 64 + 14 * chart.groups.length;
  const x = value => RANK_SIDE + (value - 1) / Math.max(1, n - 1) * (RANK_WIDTH - 2 * RANK_SIDE);
  const parts = [rankLine([[x(1), 40], [x(n), 40]])];
  for (const tick of rankTicks(n)) parts.push(rankLine([[x(tick), 40], [x(tick), 34]]), rankText(x(tick), 26, "middle", String(tick)));
  chart.setups.forEach((setup, place) => {
    const isLeft = place < half, y = top + 24 * (isLeft ? place : n - 1 - place), end = isLeft ? RANK_SIDE - 12 : RANK_WIDTH - RANK_SIDE + 12;
    parts.push(rankLine([[x(setup.rank), 40], [x(setup.rank), y], [end, y]]), rankText(isLeft ? end - 5 : end + 5, y + 4, isLeft ? "end" : "start", `${shortened(setup.name, 22)}  (${setup.rank.toFixed(2)})`, setup.name));
  });
  chart.groups.forEach((group, row) => {
    const ends = group.map(label => x(rank.get(label))), y = 50 + 14 * row;
    parts.push(svg("line", {x1: Math.min(...ends) - 4, x2: Math.max(...ends) + 4, y1: y, y2: y, class: "rank-group"}));
  });
  return [top + 24 * half + 8, parts];
}

/** The same for a narrow page: a row per setup with its point on the axis, bars at the right over groups that do not differ. */
function rankRows(chart, width) {
  const n = chart.setups.length, place = new Map(chart.setups.map((setup, index) => [setup.label, index]));
  const right = width - 16 - 12 * chart.groups.length, bottom = 36 + RANK_ROW * n;
  const x = value => 8 + (value - 1) / Math.max(1, n - 1) * (right - 16), y = index => 36 + RANK_ROW * index + 24;
  const parts = [rankLine([[x(1), 26], [x(n), 26]])];
  for (const tick of rankTicks(n)) parts.push(rankLine([[x(tick), 26], [x(tick), 20]]), rankText(x(tick), 14, "middle", String(tick)));
  chart.setups.forEach((setup, index) => {
    const most = Math.floor(right / 7.5) - 8;
    parts.push(
      rankText(0, y(index) - 9, "start", `${shortened(setup.name, most)}  (${setup.rank.toFixed(2)})`, setup.name),
      svg("line", {x1: x(1), x2: x(n), y1: y(index), y2: y(index), class: "rank-ground"}),
      svg("circle", {cx: x(setup.rank), cy: y(index), r: 4.5, class: "rank-point"}));
  });
  chart.groups.forEach((group, column) => {
    const rows = group.map(label => place.get(label)), at = right + 10 + 12 * column;
    parts.push(svg("line", {x1: at, x2: at, y1: y(Math.min(...rows)) - 14, y2: y(Math.max(...rows)) + 5, class: "rank-group"}));
  });
  return [bottom + 4, parts];
}

const rankLine = points => svg("polyline", {points: points.map(point => point.join(",")).join(" "), class: "rank-line"});
const rankText = (x, y, anchor, text, title) => svg("text", {x, y, "text-anchor": anchor, class: "rank-text"}, title ? [svg("title", {}, [title]), text] : [text]);
