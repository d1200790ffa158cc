-- Opens a device database in Neovim and prints what the language server says of it; see neovim.py.
local path, server = vim.env.DEVICEDB_FILE, vim.split(vim.env.DEVICEDB_SERVER, " ")

local function say(what, value)
  io.stdout:write(what .. ": " .. vim.json.encode(value) .. "\n")
end

local function until_true(what, condition)
  if not vim.wait(60000, condition, 50) then
    say("timed out", what)
    vim.cmd("cquit 1")
  end
end

local root = vim.fn.fnamemodify(path, ":h")
if vim.lsp.config then -- Neovim 0.11
  vim.lsp.config("devicedb", { cmd = server, filetypes = { "python" }, root_markers = { "device_db.py" } })
  vim.lsp.enable("devicedb")
elseif vim.lsp.start then -- Neovim 0.8
  vim.api.nvim_create_autocmd("FileType", {
    pattern = "python",
    callback = function()
      vim.lsp.start({ name = "devicedb", cmd = server, root_dir = root })
    end,
  })
end
vim.cmd("filetype on")
vim.cmd("edit " .. vim.fn.fnameescape(path))
vim.bo.filetype = "python"
if not vim.lsp.start then -- Neovim 0.7
  vim.lsp.buf_attach_client(0, vim.lsp.start_client({ name = "devicedb", cmd = server, root_dir = root }))
end

local function codes()
  local found = {}
  for _, each in ipairs(vim.diagnostic.get(0)) do
    table.insert(found, string.format("%d:%d %s", each.lnum + 1, each.col + 1, each.code or each.user_data.lsp.code))
  end
  table.sort(found)
  return found
end

local function ask(method, word, more)
  vim.fn.cursor(1, 1)
  local line = vim.fn.search(word)
  local column = vim.fn.col(".") - 1 + #word - 1
  vim.api.nvim_win_set_cursor(0, { line, column })
  local clients = (vim.lsp.get_clients or vim.lsp.get_active_clients)({ bufnr = 0 })
  local parameters = vim.lsp.util.make_position_params(0, clients[1].offset_encoding)
  if more then
    local here = parameters.position
    parameters = vim.tbl_extend("force", { textDocument = parameters.textDocument, range = { start = here, ["end"] = here } }, more)
  end
  for _, answer in pairs(vim.lsp.buf_request_sync(0, "textDocument/" .. method, parameters, 60000) or {}) do
    return answer.result, clients[1]
  end
end

local function session()
  until_true("findings of a run", function()
    return table.concat(codes(), " "):find("DDB701") ~= nil
  end)
  say("findings", codes())
  say("hover", vim.split(ask("hover", [["controller": "cam]]).contents.value, "\n")[2])
  local place = ask("definition", [["controller": "cam]])
  say("definition", place.range)
  local labels = {}
  for _, item in ipairs(ask("completion", [["controller": "c]]).items) do
    table.insert(labels, item.label)
  end
  say("completion", labels)
  local actions, client = ask("codeAction", [["targe]], { context = { diagnostics = {} } })
  say("action", actions[1].title)
  vim.lsp.util.apply_workspace_edit(actions[1].edit, client.offset_encoding)
  until_true("findings after the action", function()
    local now = table.concat(codes(), " ")
    return now:find("DDB401") == nil and now:find("DDB701") ~= nil
  end)
  say("findings after it", codes())
end

local fine, fault = pcall(session)
if not fine then
  say("failed", fault)
  vim.cmd("cquit 1")
end
vim.cmd("quitall!")
