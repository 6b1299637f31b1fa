package com.example.webservice;

import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.springframework.http.MediaType;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** A page to look at, and requests that are slow, large or have a body: those that a careless cutover loses. */
@RestController
public class DemoController {

    private static final long LONGEST_SLEEP_MS = 60_000;

    private final Identity identity;

    public DemoController(Identity identity) {
        this.identity = identity;
    }

    record Version(String version, String slot) {}

    record Upload(long bytes, String sha256, String slot) {}

    @GetMapping(value = "/", produces = MediaType.TEXT_HTML_VALUE)
    public String page() {
        return """
                <!doctype html>
                <html lang="en"><head><meta charset="utf-8"><title>webservice</title></head>
                <body><h1>webservice</h1><p>version <code>%s</code>, slot <code>%s</code></p></body></html>
                """.formatted(identity.version(), identity.slot());
    }

    @GetMapping("/version")
    public Version version() {
        return new Version(identity.version(), identity.slot());
    }

    @GetMapping("/slow")
    public Version slow(@RequestParam(defaultValue = "1000") long ms) throws InterruptedException {
        Thread.sleep(Math.min(Math.max(ms, 0), LONGEST_SLEEP_MS));
        return version();
    }

    /** Server-sent events: one answer that lasts. nginx would keep them until its buffer is full, and a client would give up before. */
    @GetMapping(value = "/events", produces = MediaType.TEXT_EVENT_STREAM_VALUE)
    public void events(@RequestParam(defaultValue = "10") int count, @RequestParam(defaultValue = "1000") long ms,
            HttpServletResponse response) throws IOException, InterruptedException {
        response.setContentType(MediaType.TEXT_EVENT_STREAM_VALUE);
        response.setHeader("X-Accel-Buffering", "no");
        OutputStream out = response.getOutputStream();
        for (int number = 1; number <= count; number++) {
            out.write("data: %d from %s\n\n".formatted(number, identity.slot()).getBytes(StandardCharsets.UTF_8));
            out.flush();
            Thread.sleep(Math.min(Math.max(ms, 0), LONGEST_SLEEP_MS));
        }
    }

    @PostMapping(value = "/echo", consumes = MediaType.ALL_VALUE, produces = MediaType.APPLICATION_OCTET_STREAM_VALUE)
    public byte[] echo(@RequestBody byte[] body) {
        return body;
    }

    @PostMapping(value = "/upload", consumes = MediaType.ALL_VALUE)
    public Upload upload(InputStream body) throws IOException, NoSuchAlgorithmException {
        MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
        long bytes = new DigestInputStream(body, sha256).transferTo(OutputStream.nullOutputStream());
        return new Upload(bytes, HexFormat.of().formatHex(sha256.digest()), identity.slot());
    }
}
