--- Files, through libuv's thread pool; the annotations are in meta.lua.
return require("moontide.core").fs
