// Unpacks what the page carries, and runs its scripts in their order. The policy in the page's head knows each by its hash.
"use strict";

/** What an element holds as compressed base64. */
function unpacked(element) {
  const text = atob(element.textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i); // Uint8Array.from takes five times as long
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

// Keys that are pressed before the scripts run are for them.
const early = [];
const keepEarly = (event) => event.target === document.body && !event.ctrlKey && !event.altKey && !event.metaKey && early.push(event.key);
document.addEventListener("keydown", keepEarly);

(async () => {
  for (const packed of document.querySelectorAll("script.packed")) {
    const script = document.createElement("script");
    script.textContent = await unpacked(packed).text();
    document.head.append(script);
  }
})().catch((error) => {
  document.getElementById("table-status").textContent = `This browser cannot unpack the page: ${error.message}`;
  throw error;
});
