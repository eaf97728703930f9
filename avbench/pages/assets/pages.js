
"use strict";
const FPS = 25;

for (const player of document.querySelectorAll(".player")) {
  const video = player.querySelector("video");
  const at = player.querySelector(".at");
  const length = Number(player.dataset.length);
  const first = player.dataset.first === undefined ? null : Number(player.dataset.first);
  const now = () => Math.min(Math.floor(video.currentTime * FPS + 1e-3), length - 1);
  const show = () => {
    const source = first === null ? "" : ` \u00b7 source ${first + now()}`;
    at.textContent = `frame ${now()}${source}`;
  };
  // The middle of a frame, so that rounding cannot show its neighbour.
  const seek = (frame) => { video.currentTime = (Math.max(0, Math.min(frame, length - 1)) + 0.5) / FPS; };
  for (const name of ["timeupdate", "seeked", "play", "pause"]) video.addEventListener(name, show);
  video.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
  });
  for (const button of player.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      video.pause();
      const target = now() + Number(button.dataset.step);
      if (video.readyState > 0) { seek(target); return; }
      video.addEventListener("loadedmetadata", () => seek(target), { once: true });
      video.load();
    });
  }
  show();
  player.querySelector(".frame").hidden = false;
}

const find = document.getElementById("find");
if (find) {
  const rows = [...document.querySelectorAll("table.list tbody tr")];
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    document.getElementById("found").textContent = words.length ? `${count} of ${rows.length}` : "";
  };
  find.addEventListener("input", filter);
  find.closest(".find").hidden = false;
  filter();
}
