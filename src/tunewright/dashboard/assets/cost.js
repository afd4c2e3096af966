// Cost so far and per hour, and the time that each decision took.
import {h, card, emptyNote, facts, foldedTable, redraw} from "./dom.js";
import {formatBrief, formatDuration, formatMoney, plural} from "./format.js";
import {hasPrices} from "./trials.js";
import {Chart, axis, countAxis, plotGrid, sampledRows, themeColour, timeAxis, tooltip} from "./charts.js";

export const costView = {
  title: "Cost",

  render(container, context) {
    this.store = context.store;
    this.costFacts = h("div", {class: "gap"});
    this.costFrame = h("div", {});
    this.noCost = emptyNote("This backend has no prices. On SageMaker, the cost of each run and the price per hour appear here.");
    this.decisionFacts = h("p", {class: "small"});
    this.decisionFrame = h("div", {});
    this.noDecisions = emptyNote("");
    const costCard = card("Cost", null, this.costFacts, this.costFrame, this.noCost),
      decisionCard = card("Decision time", null, this.decisionFrame, this.decisionFacts, this.noDecisions);
    container.append(costCard, decisionCard);
    this.costChart = new Chart(this.costFrame, {label: "Cost of ended trials over time", height: 320, build: () => this.costOption()});
    this.decisionChart = new Chart(this.decisionFrame, {label: "Time of each decision", height: 320, build: () => this.decisionOption()});
    costCard.append(
      foldedTable(
        () => ["time", "cost of ended trials"],
        () => this.steps().map(([time, cost]) => [formatDuration(time), formatMoney(cost)]),
      ),
    );
    decisionCard.append(
      foldedTable(
        () => ["trial", "decision time"],
        () => this.store.decisions.map(([id, seconds]) => [String(id), formatBrief(seconds)]),
      ),
    );
    this.draw();
  },

  /** Sum of the costs of ended trials, at each end. */
  steps() {
    let sum = 0;
    return [...this.store.trials.values()]
      .filter(trial => trial.ended !== null && trial.cost)
      .sort((a, b) => a.ended - b.ended)
      .map(trial => [trial.ended, (sum += trial.cost)]);
  },

  costOption() {
    const all = this.steps();
    if (!all.length) return null;
    const steps = sampledRows(all.reverse(), 1500).sort((a, b) => a[0] - b[0]);
    return {
      grid: plotGrid(),
      xAxis: timeAxis("time", this.store.time),
      yAxis: axis("value", "", {min: 0, axisLabel: {formatter: value => formatMoney(value, steps.at(-1)[1])}}),
      tooltip: tooltip(([point]) => `${formatMoney(point.value[1])} after ${formatDuration(point.value[0])}`, {trigger: "axis"}),
      series: [
        {
          id: "cost",
          type: "line",
          step: "end",
          data: [[0, 0], ...steps, [Math.max(this.store.time, steps.at(-1)[0]), steps.at(-1)[1]]],
          showSymbol: false,
          lineStyle: {color: themeColour("accent"), width: 2},
          itemStyle: {color: themeColour("accent")},
          areaStyle: {color: themeColour("accent"), opacity: 0.12},
        },
      ],
    };
  },

  decisionOption() {
    const rows = sampledRows(
      [...this.store.decisions].sort((a, b) => b[1] - a[1]),
      3000,
    );
    return {
      grid: plotGrid(),
      xAxis: countAxis(
        "trial",
        rows.map(([id]) => id),
      ),
      yAxis: axis("value", "", {min: 0, axisLabel: {formatter: formatBrief}}),
      tooltip: tooltip(point => `trial ${point.value[0]}: ${formatBrief(point.value[1])}`, {trigger: "item"}),
      series: [
        {
          id: "decisions",
          type: "scatter",
          data: rows,
          symbolSize: rows.length > 500 ? 3 : 6,
          itemStyle: {color: themeColour("accent"), opacity: 0.7},
        },
      ],
    };
  },

  draw() {
    const {experiment, totals, decisions} = this.store,
      {cost, decision_time: decision} = experiment,
      total = hasPrices(this.store) ? (totals.cost ?? cost?.total) : null;
    this.noCost.hidden = total !== null;
    const known = [
      [this.store.isRunning ? "So far" : "In all", formatMoney(total)],
      ["Per hour", cost?.per_hour ? formatMoney(cost.per_hour) : ""],
      ["Per trial", totals.n_trials ? formatMoney(total / totals.n_trials) : ""],
      ["Prices", cost?.prices],
    ];
    redraw(this.costFacts, total === null ? null : known, () => (total === null ? "" : facts(known)));
    this.costFrame.hidden = total === null || !this.steps().length;
    if (!this.costFrame.hidden) this.costChart.draw();
    this.noDecisions.hidden = decisions.length > 0;
    this.noDecisions.textContent = this.store.isRunning
      ? "No decision yet. Each suggestion of the method becomes a point."
      : "No decision: the experiment ended before the method suggested a trial.";
    this.decisionFrame.hidden = this.decisionFacts.hidden = !decisions.length;
    const mean = decisions.reduce((sum, row) => sum + row[1], 0) / (decisions.length || 1),
      most = decisions.reduce((high, row) => Math.max(high, row[1]), 0);
    this.decisionFacts.textContent = `${plural(decisions.length, "decision")}: ${formatBrief(decision?.mean ?? mean)} on average, ${formatBrief(decision?.max ?? most)} at most.`;
    if (decisions.length) this.decisionChart.draw();
  },

  update(change) {
    if (change.has("experiment", "trials", "decisions", "status")) this.draw();
  },

  dispose() {
    this.costChart.dispose();
    this.decisionChart.dispose();
  },
};
