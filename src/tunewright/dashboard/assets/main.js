// The shell: header, colours, addresses. A view is an object with title, render(container, context), update(change), dispose();
// each display gets an object that inherits from it, so that a view keeps its state in `this`.
import {h, emptyNote} from "./dom.js";
import {openSource} from "./source.js";
import {listView} from "./list.js";
import {compareView} from "./compare.js";
import {ExperimentPage} from "./experiment.js";

const QUERY_MS = 120,
  SCROLL_MS = 100,
  TOAST_MS = 8000,
  TOP_HEIGHT = 60;

/** Read an address: the parts of its path and its query. */
function readAddress(fragment) {
  const [path, query = ""] = fragment.replace(/^#/, "").split("?");
  const decode = part => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  const [kind = "", ...parts] = path.split("/").filter(Boolean).map(decode);
  const found = {path, query: Object.fromEntries(new URLSearchParams(query))};
  if (kind === "e" && parts.length >= 2)
    return {...found, kind, tag: parts[0], name: parts[1], view: parts[2] ?? "overview", item: parts[3] ?? null};
  if (kind === "compare" && parts.length) return {...found, kind, tag: parts[0], view: "compare"};
  return {...found, kind: "list", view: "list"};
}

/** The page: it owns the header and shows one view at a time. */
class DashboardPage {
  constructor(source) {
    this.source = source;
    this.view = null;
    this.experiment = null;
    this.main = h("main", {id: "main", tabindex: "-1"});
    this.live = h("div", {class: "off-screen", "aria-live": "polite", role: "status"});
    this.toast = h("p", {class: "toast", "aria-hidden": "true"}); // what it shows is said by the live region
    this.toast.hidden = true;
    this.connection = h("span", {class: "connection", role: "status"});
    this.scheme = h("button", {type: "button", class: "quiet scheme", title: "Colours", onclick: () => this.turnScheme()});
    const skip = h("button", {type: "button", class: "skip", onclick: () => this.main.focus()}, "Skip to content");
    const brand = h("a", {href: source.start ?? "#/", class: "brand"}, h("span", {class: "mark", "aria-hidden": "true"}), "Tunewright");
    document
      .getElementById("app")
      .replaceChildren(
        skip,
        h("header", {class: "top"}, brand, h("div", {class: "spread"}), this.connection, this.scheme),
        this.main,
        this.live,
        this.toast,
      );
    this.setScheme(readScheme());
    this.showState(source.isFrozen ? "frozen" : "connecting");
    history.scrollRestoration = "manual";
    this.scrollTo = history.state?.scroll ?? null;
    addEventListener("popstate", event => this.remember(event.state));
    addEventListener("hashchange", () => this.route());
    addEventListener("scroll", () => this.keepScroll(), {passive: true});
    document.addEventListener("keydown", event => this.onkey(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("scheme")));
    if (source.isFrozen && !location.hash) history.replaceState(null, "", source.start);
    this.route();
  }

  /** Take the place of a page that is gone back to; a new page begins at its top. */
  remember(state) {
    clearTimeout(this.scrollTimer);
    clearTimeout(this.queryTimer);
    this.scrollTo = state?.scroll ?? null;
  }

  keepScroll() {
    clearTimeout(this.scrollTimer);
    this.scrollTimer = setTimeout(() => history.replaceState({scroll: Math.round(scrollY)}, ""), SCROLL_MS);
  }

  /** Show the view of the present address; scroll to its place, and put the focus there if its element has gone. */
  async route() {
    const kept = this.scrollTo,
      tabs = this.main.querySelector(".tabs");
    this.scrollTo = null;
    await this.showRoute();
    const top = tabs?.isConnected ? tabs.getBoundingClientRect().top + scrollY - TOP_HEIGHT : 0;
    scrollTo(0, kept ?? Math.min(scrollY, Math.max(0, top)));
    if (document.activeElement === document.body && this.hasShown) this.main.focus({preventScroll: true});
    this.hasShown = true;
  }

  async showRoute() {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    const route = readAddress(location.hash);
    const isSame = route.kind === "e" && this.experiment?.tag === route.tag && this.experiment?.name === route.name;
    if (isSame) return this.experiment.isOpen ? this.experiment.show(route) : undefined; // else it is shown once it is open
    const turn = (this.turn = {});
    this.view?.dispose();
    this.experiment?.close();
    this.view = this.experiment = null;
    const container = h("div", {class: "page"}, h("p", {class: "empty", role: "status"}, "Loading\u2026"));
    this.main.replaceChildren(container);
    const context = this.context(route);
    try {
      if (route.kind === "e") {
        this.experiment = new ExperimentPage(container, context, route.tag, route.name);
        await this.experiment.open(route);
        if (this.turn === turn) await this.experiment.show(readAddress(location.hash));
      } else {
        const view = (this.view = Object.create(route.kind === "compare" ? compareView : listView));
        const content = h("div", {class: "stack"});
        await view.render(content, context);
        if (this.turn !== turn) return view.dispose();
        document.title = `${view.title} \u2013 Tunewright`;
        container.replaceChildren(content);
      }
    } catch (error) {
      if (this.turn !== turn) return;
      this.experiment?.close();
      this.experiment = null;
      container.replaceChildren(emptyNote(error.message), h(
        "p",
        {class: "center"},
        error.status === 0 ? h("button", {type: "button", onclick: () => this.route()}, "Try again") : h("a", {href: "#/"}, "All experiments"),
      ));
      if (error.status === undefined) throw error;
    }
  }

  /** What views get. */
  context(route) {
    return {
      route,
      source: this.source,
      announce: (text, {isShown = false} = {}) => {
        this.live.textContent = text;
        if (isShown) this.showToast(text);
      },
      onstate: state => this.showState(state),
      setQuery: (query, defaults = {}) => {
        const kept = Object.entries(query).filter(([key, value]) => value && value !== defaults[key]);
        const text = new URLSearchParams(kept).toString();
        this.keepAddress(`#${readAddress(location.hash).path || "/"}${text ? `?${text}` : ""}`);
      },
    };
  }

  /** Write filters into the address, a little later: browsers refuse many changes in a short time. */
  keepAddress(address) {
    clearTimeout(this.queryTimer);
    this.queryTimer = setTimeout(() => history.replaceState(history.state, "", address), QUERY_MS);
  }

  showToast(text) {
    this.toast.textContent = text;
    this.toast.hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => {
      this.toast.hidden = true;
    }, TOAST_MS);
  }

  showState(state) {
    const texts = {
      live: "Live",
      lost: "Reconnecting\u2026",
      gone: "Deleted or renamed",
      connecting: "Connecting\u2026",
      frozen: "Saved page",
      denied: "Not allowed: open the address that tunewright dashboard printed",
    };
    this.connection.className = `connection ${state}`;
    this.connection.textContent = texts[state];
  }

  setScheme(scheme) {
    this.chosen = scheme;
    if (scheme === "auto") delete document.documentElement.dataset.scheme;
    else document.documentElement.dataset.scheme = scheme;
    this.scheme.textContent = {auto: "Auto", light: "Light", dark: "Dark"}[scheme];
    this.scheme.setAttribute("aria-label", `Colours: ${scheme}. Change`);
    document.dispatchEvent(new Event("scheme"));
  }

  turnScheme() {
    const order = ["auto", "light", "dark"],
      next = order[(order.indexOf(this.chosen) + 1) % 3];
    try {
      localStorage.setItem("tunewright-scheme", next);
    } catch {
      /* storage is blocked: the choice lasts as long as the page */
    }
    this.setScheme(next);
  }

  /** "/" puts the cursor into the search. */
  onkey(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const search = this.main.querySelector("input[type=search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
  }
}

/** The reader's choice of colours: "auto", "light" or "dark". */
function readScheme() {
  try {
    return localStorage.getItem("tunewright-scheme") ?? "auto";
  } catch {
    return "auto";
  }
}

new DashboardPage(openSource());
