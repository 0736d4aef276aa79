#!/bin/sh
# The page: a form, the entries, and which pod on which node answered this time.
store="http://${STORE:-127.0.0.1:8081}/cgi-bin/entries"

escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g'; }
field() { httpd -d "$(printf %s "$form" | tr '&' '\n' | sed -n "s/^$1=//p" | head -n 1 | tr + ' ')" | tr '\t\r\n' '   '; }

if [ "$REQUEST_METHOD" = POST ]; then
    form=$(head -c "${CONTENT_LENGTH:-0}" | head -c 2000)
    message=$(field message | head -c 500)
    name=$(field name | head -c 60)
    if [ -n "$message" ]; then
        entry=$(printf '%s\t%s\t%s\t%s' "$(date -u +%H:%M:%S)" "$POD_NAME" "${name:-somebody}" "$message")
        timeout 3 wget -qO /dev/null --post-data "$entry" "$store"
    fi
    printf 'Status: 303 See Other\r\nLocation: /\r\n\r\n'
    exit
fi

title=$(cat /etc/guestbook/title 2>/dev/null | escape)
greeting=$(cat /etc/guestbook/greeting 2>/dev/null | escape)
printf 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
cat <<HTML
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title:-Guestbook}</title>
<style>
body{margin:0;background:#f4f1ea;color:#26323a;font:17px/1.5 Georgia,serif}
main{max-width:38rem;margin:0 auto;padding:3rem 1.2rem}
h1{font-size:2.4rem;margin:0}
p.served{font:13px ui-monospace,monospace;color:#607482}
p.served b{color:#0f5d73}
form{display:flex;flex-wrap:wrap;gap:.5rem;margin:1.6rem 0}
input,button{font:inherit;padding:.5rem .7rem;border:1px solid #b9c4c8;border-radius:6px;background:#fff}
input[name=name]{flex:1 1 8rem}input[name=message]{flex:4 1 14rem}
button{background:#0f5d73;color:#fff;border-color:#0f5d73;cursor:pointer}
article{border-left:3px solid #0f5d73;background:#fff;margin:.7rem 0;padding:.6rem .9rem;border-radius:0 6px 6px 0}
article small{display:block;font:12px ui-monospace,monospace;color:#607482}
</style></head><body><main>
<h1>${title:-Guestbook}</h1>
<p>${greeting:-Leave a line.}</p>
<form method="post" action="/cgi-bin/index.cgi">
<input name="name" placeholder="Your name" maxlength="60"><input name="message" placeholder="Say something" maxlength="500" required>
<button>Sign</button></form>
HTML
timeout 3 wget -qO- "$store" | escape | awk -F '\t' '{
    printf "<article>%s<small>%s, %s UTC, taken by %s</small></article>\n", $4, $3, $1, $2 }'
cat <<HTML
<p class="served">answered by pod <b>${POD_NAME:-$(hostname)}</b> on node <b>${NODE_NAME:-?}</b>, ${POD_IP:-?}</p>
</main></body></html>
HTML
