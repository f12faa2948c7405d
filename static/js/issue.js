// The Issue form: reads a dropped or chosen CSR file into its text area, and keeps what was typed while the fields
// of another profile come.
(() => {
  "use strict";
  const LARGEST_CSR = 65536; // characters; the server refuses more

  async function take(file, zone) {
    const area = document.getElementById(zone.dataset.dropFor);
    const note = zone.querySelector("[data-drop-note]");
    if (!file) return;
    if (file.size > LARGEST_CSR) {
      note.textContent = `${file.name} is too large for a certificate signing request.`;
      return;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    area.value = bytes[0] === 0x30 ? pemOf(bytes) : new TextDecoder().decode(bytes);
    area.dispatchEvent(new Event("input", { bubbles: true }));
    note.textContent = `Read from ${file.name}.`;
  }

  // 0x30 opens a DER SEQUENCE: many tools write the request in that binary form.
  function pemOf(bytes) {
    const base64 = btoa(String.fromCharCode(...bytes));
    const lines = base64.match(/.{1,64}/g).join("\n");
    return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
  }

  // The server answers with what was typed when it was asked; a CSR is not sent for that, and people type on.
  let typed = new Map();
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "issue-fields") return;
    const fields = event.detail.target.querySelectorAll("input[type=text][id], textarea[id]");
    typed = new Map([...fields].filter((field) => field.value !== field.defaultValue).map((field) => [field.id, field.value]));
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const [id, value] of typed) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    typed.clear();
  });

  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      const zone = event.target.closest?.("[data-drop-for]");
      if (!zone) return;
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    event.target.closest?.("[data-drop-for]")?.classList.remove("is-over");
  });
  document.addEventListener("drop", (event) => {
    const zone = event.target.closest?.("[data-drop-for]");
    if (!zone) return;
    event.preventDefault();
    zone.classList.remove("is-over");
    take(event.dataTransfer.files[0], zone);
  });
  document.addEventListener("change", (event) => {
    const zone = event.target.closest("[data-drop-for]");
    if (zone && event.target.type === "file") take(event.target.files[0], zone);
  });
})();
