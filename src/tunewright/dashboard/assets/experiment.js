// The page of one experiment: head, tabs, and one view below; the store behind it lives as long as the page.
import {loadCharts} from "./charts.js";
import {h, clampedText, redraw, setText, statusPill, emptyNote} from "./dom.js";
import {formatDuration, formatNumber, plural} from "./format.js";
import {experimentAddress, progressBar} from "./list.js";
import {ExperimentFollower, Redraw} from "./store.js";
import {controlBar} from "./actions.js";
import {overviewView} from "./overview.js";
import {trialsView} from "./trials.js";
import {trialView} from "./trial.js";
import {curvesView} from "./curves.js";
import {parallelView} from "./parallel.js";
import {slicesView} from "./slices.js";
import {contourView} from "./contour.js";
import {importanceView} from "./importance.js";
import {paretoView} from "./pareto.js";
import {workersView} from "./workers.js";
import {costView} from "./cost.js";
import {eventsView} from "./events.js";
import {reportView} from "./compare.js";

const EXPERIMENT_VIEWS = {
  overview: overviewView,
  report: reportView,
  trials: trialsView,
  curves: curvesView,
  parallel: parallelView,
  slices: slicesView,
  contour: contourView,
  importance: importanceView,
  pareto: paretoView,
  workers: workersView,
  cost: costView,
  events: eventsView,
};

/** The view that an address names. */
function viewOf(route) {
  return route.view === "trials" && route.item !== null ? trialView : (EXPERIMENT_VIEWS[route.view] ?? overviewView);
}

export class ExperimentPage {
  constructor(container, context, tag, name) {
    Object.assign(this, {container, context, tag, name, view: null});
    this.follower = new ExperimentFollower(context.source, tag, name, {
      onchange: change => this.redraw.request(change),
      onstate: state => {
        context.onstate(state);
        if (state === "live" && this.failed) this.show(this.failed);
      },
      ongone: () => this.showGone(),
    });
    this.redraw = new Redraw(change => this.update(change));
  }

  async open(route) {
    const charts = loadCharts(); // while the documents are read
    this.store = await this.follower.open(viewOf(route) !== overviewView);
    const readRest = () => setTimeout(() => this.follower.whole()); // after the first view
    charts.then(readRest, readRest);
    this.status = h("span", {});
    this.facts = h("p", {class: "small facts-line"});
    this.progress = h("div", {class: "grow"});
    this.note = h("p", {class: "note"});
    this.gone = h("div", {class: "warning", role: "alert", hidden: true});
    this.control = h("div", {class: "actions"});
    this.tabs = h("nav", {class: "tabs", "aria-label": "Views of the experiment"}, this.tabLinks());
    this.content = h("div", {class: "view"});
    this.bestValue = this.store.best.at(-1)?.value;
    this.container.replaceChildren(
      this.gone,
      h(
        "nav",
        {class: "crumbs", "aria-label": "Path"},
        ...(this.context.source.isFrozen
          ? [this.tag]
          : [h("a", {href: "#/"}, "Experiments"), " / ", h("a", {href: `#/?tag=${encodeURIComponent(this.tag)}`}, this.tag)]),
      ),
      h("div", {class: "heading"}, h("h1", {class: "title"}, this.name), this.status),
      this.facts,
      this.note,
      h("div", {class: "between"}, this.progress, this.control),
      this.tabs,
      this.content,
    );
    this.drawHead();
    this.isOpen = true;
  }

  /** Show a view; views of one experiment share its store. */
  async show(route) {
    this.view?.dispose();
    this.failed = this.awaited = null;
    const definition = viewOf(route);
    this.drawTabs(route.view in EXPERIMENT_VIEWS ? route.view : "overview");
    const content = h("div", {class: "stack"});
    const loading = h("p", {class: "empty", role: "status"}, "Loading\u2026");
    this.content.replaceChildren(loading, content);
    const turn = (this.turn = {});
    this.view = null;
    document.title = `${definition === trialView ? `Trial ${route.item}` : definition.title} \u2013 ${this.name} \u2013 Tunewright`;
    if (definition !== overviewView) await this.follower.whole();
    if (this.turn !== turn) return;
    const view = (this.view = Object.create(definition));
    try {
      await view.render(content, {...this.context, route, store: this.store, path: this.follower.path, tag: this.tag, name: this.name});
      loading.remove();
    } catch (error) {
      loading.remove();
      if (this.view !== view) return;
      content.replaceChildren(emptyNote(error.message));
      if (error.status === 0) this.failed = route; // the server did not answer: it is asked again once it does
      if (error.status === 404 && definition === trialView) this.awaited = route; // a trial that may still begin
      if (error.status === undefined) throw error;
    }
  }

  tabLinks() {
    return Object.entries(EXPERIMENT_VIEWS).map(([key, view]) =>
      h("a", {href: experimentAddress(this.tag, this.name, key), "data-view": key}, view.title),
    );
  }

  /** Mark the tab of the present view; the links stay, and so does the focus. */
  drawTabs(current) {
    const isSeveral = this.store.experiment.metrics.length > 1;
    for (const link of this.tabs.children) {
      const key = link.dataset.view;
      link.hidden = key === "pareto" && !isSeveral && current !== key;
      if (key === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      if (key === current) this.tabs.scrollLeft = link.offsetLeft - (this.tabs.clientWidth - link.clientWidth) / 2;
    }
  }

  drawHead() {
    const {experiment, totals} = this.store;
    redraw(this.status, experiment.status, () => statusPill(experiment.status));
    setText(
      this.facts,
      [
        `${experiment.method} on ${experiment.benchmark}`,
        `seed ${experiment.seed}`,
        plural(totals.n_trials, "trial"),
        plural(totals.n_results, "result"),
        experiment.clock === "simulated" ? "simulated time" : "",
        `${formatDuration(this.store.time)}${experiment.status.startsWith("running") ? " so far" : ""}`,
      ]
        .filter(Boolean)
        .join("  \u00B7  "),
    );
    redraw(this.note, experiment.note ?? "", () => clampedText(experiment.note ?? ""));
    this.note.hidden = !experiment.note;
    const {progress, progress_text: progressText} = experiment;
    redraw(this.progress, [progress, progressText], () => progressBar(progress, progressText));
    this.drawControl(experiment);
  }

  drawControl(experiment) {
    const signature = `${experiment.control} ${experiment.status}`;
    if (this.control.dataset.signature === signature || this.context.source.isFrozen) return;
    this.control.dataset.signature = signature;
    this.control.replaceChildren(
      ...(experiment.control && experiment.status === "running" ? controlBar(this.context, this.store, this.follower.path) : []),
    );
  }

  update(change) {
    if (change.has("experiment", "totals")) this.drawHead();
    if (change.kinds.has("status")) this.context.announce(`The experiment is ${this.store.experiment.status}`);
    const best = this.store.best.at(-1);
    if (best && best.value !== this.bestValue) {
      this.bestValue = best.value;
      this.context.announce(`New best: ${this.store.metric.name} ${formatNumber(best.value)}, trial ${best.trial_id}`);
    }
    if (this.awaited && this.store.trials.has(Number(this.awaited.item))) this.show(this.awaited);
    else this.view?.update(change);
  }

  /** Say that the experiment is not there any more; the page stays as it was. */
  showGone() {
    this.context.onstate("gone");
    this.control.replaceChildren();
    this.gone.hidden = false;
    this.gone.replaceChildren(
      "This experiment was deleted or renamed. The page shows its last state. ",
      h("a", {href: "#/"}, "All experiments"),
    );
  }

  close() {
    this.view?.dispose();
    this.follower.close();
    this.redraw.close();
  }
}
