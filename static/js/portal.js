// What every page shares: menus, the dialog, copy and download, one-time secrets, rows that are added and removed.
(() => {
  "use strict";

  // ------------------------------------------------------------------ menus
  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details.menu[open]");
    closeMenus();
    menu?.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    const toggle = event.target.closest("[data-nav-toggle]");
    if (!toggle) return;
    const open = toggle.closest(".sidebar").classList.toggle("is-open");
    toggle.setAttribute("aria-expanded", String(open));
  });

  // ------------------------------------------------------------------ the dialog
  const dialog = document.getElementById("dialog");
  const dialogContent = document.getElementById("dialog-content");
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === dialogContent && !dialog.open) dialog.showModal();
    if (event.detail.target === dialogContent) dialogContent.querySelector("[autofocus]")?.focus();
    if (event.detail.target.id === "main") {
      dialog.close();
      event.detail.target.focus();
      window.scrollTo(0, 0);
      document.title = event.detail.target.querySelector("[data-title]")?.dataset.title || document.title;
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.id === "decision") announce(event.detail.elt.querySelector("[data-verdict]")?.textContent || "");
    const form = document.getElementById("issue-form");
    if (form?.querySelector("[role=alert]:not([hidden])")) form.querySelector("[aria-invalid=true]")?.focus();
    // What was asked for by a button is where the reader goes on; what comes by itself is told, and moves nobody.
    const answer = document.querySelector("[data-focus]");
    answer?.removeAttribute("data-focus");
    answer?.focus({ preventScroll: true });
    answer?.scrollIntoView({ block: "center" });
  });
  document.addEventListener("click", (event) => {
    if (dialog?.open && event.target.closest("[data-close-dialog]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  dialog?.addEventListener("close", () => dialogContent.replaceChildren());

  // 422 is a form with its violations, 503 one with a fault of ours: something to show, not an error to swallow.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if ([422, 503].includes(event.detail.xhr.status)) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  function announce(text) {
    const region = document.getElementById("announcement");
    if (region) region.textContent = text;
  }
  function tellTrouble(text) {
    const slot = document.querySelector("dialog[open] [data-trouble]") || document.querySelector("[data-trouble]");
    if (!slot) return announce(text);
    slot.hidden = false;
    slot.querySelector("[data-trouble-text]").textContent = text;
  }
  document.addEventListener("htmx:sendError", () => tellTrouble("The server could not be reached. Nothing is lost: try again."));
  document.addEventListener("htmx:responseError", (event) => {
    const { requestConfig, xhr } = event.detail;
    if (requestConfig.verb === "get") return location.assign(requestConfig.path); // that page tells why by itself
    if (xhr.status < 500) return tellTrouble("This is not allowed, or the page is too old: reload it and try again.");
    tellTrouble("The server could not answer. Try again in a moment.");
  });

  // ------------------------------------------------------------------ copy and download
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    if (!source) return;
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      const range = document.createRange(); // no clipboard on plain http: select, so that the keyboard can copy
      range.selectNodeContents(source);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      if (!document.execCommand("copy")) return announce("Selected. Press Ctrl+C to copy.");
      selection.removeAllRanges();
    }
    const label = button.querySelector("[data-label-text]");
    const before = label.textContent;
    if (button.dataset.done) return;
    button.dataset.done = "1";
    label.textContent = "Copied";
    announce("Copied to the clipboard.");
    setTimeout(() => {
      label.textContent = before;
      delete button.dataset.done;
    }, 1600);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-download]");
    if (!button) return;
    const text = document.getElementById(button.dataset.download).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/x-pem-file" }));
    link.download = button.dataset.filename;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // A private key lives in the page only while the page is looked at: a copy kept for the Back button must not hold it.
  window.addEventListener("pagehide", () => {
    for (const secret of document.querySelectorAll("[data-secret]")) secret.remove();
  });
  function settleAddress() {
    const page = document.querySelector("[data-settled-address]");
    if (page) history.replaceState(null, "", page.dataset.settledAddress); // a reload must be a GET of the certificate
  }
  settleAddress();

  // ------------------------------------------------------------------ forms
  // htmx drops the second request of a form by itself (hx-sync); this is for forms that it does not drive.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // One that answers with a file leaves the page as it is, to be sent again.
    if (form.hasAttribute("hx-post") || form.hasAttribute("data-answers-file") || form.method !== "post") return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-confirm]");
    if (button && !window.confirm(button.dataset.confirm)) event.preventDefault();
  });

  // Rows: [data-rows] holds lines and a <template>; a line's [data-remove-row] takes it away.
  document.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add-row]");
    if (add) {
      const rows = document.getElementById(add.dataset.addRow);
      const line = rows.querySelector("template").content.cloneNode(true);
      rows.append(line);
      rows.lastElementChild.querySelector("select, input")?.focus();
    }
    const remove = event.target.closest("[data-remove-row]");
    if (remove) {
      const rows = remove.closest("[data-rows]");
      remove.closest(".row-line").remove();
      const last = [...rows.querySelectorAll(".row-line input")].pop();
      (last || document.querySelector(`[data-add-row="${rows.id}"]`))?.focus();
    }
  });
})();
