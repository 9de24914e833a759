// The list of chats at the side: choose, delete with a way back, export.
import { byId, element, picture, pictureButton, saveFile, toast } from "./elements.js";
import { allChats, exported, removeChat, saveChat } from "./history.js";

const sideButton = pictureButton("menu", "Chats", () => showSide(true), { "aria-controls": "side" });

/** Connects the side; `talk` shows, begins and stops chats. */
export function openSidebar(talk) {
  byId("side-open").replaceWith(sideButton);
  byId("side-close").replaceWith(pictureButton("close", "Close the list", () => showSide(false)));
  byId("shade").addEventListener("click", () => showSide(false));
  byId("new").prepend(picture("plus"));
  byId("new").addEventListener("click", () => {
    talk.begin();
    showSide(false);
    byId("question").focus();
  });
  byId("export-all").addEventListener("click", () => saveFile("fintune-chats.json", exported(allChats())));
  byId("remove-all").addEventListener("click", () => remove(allChats(), talk));
}

/** On a phone the list lies over the chat. */
export function showSide(open) {
  byId("side").classList.toggle("open", open);
  byId("shade").hidden = !open;
  if (open) byId("new").focus();
  else if (byId("side").contains(document.activeElement)) sideButton.focus();
}

export const isSideOpen = () => byId("side").classList.contains("open");

/** Writes the list anew. */
export function listChats(shown, talk) {
  const chats = allChats();
  byId("chats").replaceChildren(...chats.map((chat) => {
    const open = element("button", {
      type: "button",
      class: "chat",
      dir: "auto",
      title: chat.title,
      "aria-current": chat.id === shown.id ? "true" : undefined,
      onclick: () => {
        talk.show(chat);
        showSide(false);
      },
    }, chat.title);
    const away = pictureButton("remove", `Delete: ${chat.title}`, () => remove([chat], talk));
    return element("li", {}, open, away);
  }));
  byId("export-all").disabled = byId("remove-all").disabled = chats.length === 0;
}

function remove(chats, talk) {
  for (const chat of chats) {
    talk.stop(chat);
    removeChat(chat.id);
  }
  talk.removed(chats);
  byId("new").focus();
  toast(chats.length === 1 ? "Chat deleted." : `${chats.length} chats deleted.`, "Undo", () => {
    for (const chat of chats) saveChat(chat, chat.changed);
    talk.show(chats[0]);
  });
}
