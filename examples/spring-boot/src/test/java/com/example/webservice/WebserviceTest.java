package com.example.webservice;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.web.client.TestRestTemplate;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;

@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.RANDOM_PORT)
class WebserviceTest {

    private static final String SHA256_OF_HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    @Autowired
    private TestRestTemplate http;

    @Test
    void profileIsAnsweredWithoutAuthentication() {
        ResponseEntity<String> answer = http.getForEntity("/profile", String.class);
        assertThat(answer.getStatusCode()).isEqualTo(HttpStatus.OK);
        assertThat(answer.getBody()).isEqualTo("default");
    }

    @Test
    void versionAndPageNameTheStampedVersionAndTheSlot() {
        String version = http.getForObject("/version", DemoController.Version.class).version();
        assertThat(version).startsWith("1.0.1-SNAPSHOT-");
        assertThat(http.getForObject("/", String.class)).contains(version, "default");
    }

    @Test
    void slowAnswersAfterItsSleepAndNamesWhoAnswered() {
        ResponseEntity<String> answer = http.getForEntity("/slow?ms=5", String.class);
        assertThat(answer.getHeaders().getFirst("X-Slot")).isEqualTo("default");
        assertThat(answer.getHeaders().getFirst("X-Version")).startsWith("1.0.1-SNAPSHOT-");
    }

    @Test
    void eventsComeOneAfterAnother() {
        assertThat(http.getForObject("/events?count=2&ms=1", String.class)).isEqualTo("data: 1 from default\n\ndata: 2 from default\n\n");
    }

    @Test
    void theSocketGivesBackWhatItIsSentAndNamesItsSlot() throws Exception {
        BlockingQueue<String> said = new LinkedBlockingQueue<>();
        WebSocket.Listener listener = new WebSocket.Listener() {
            @Override
            public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
                said.add(text.toString());
                return WebSocket.Listener.super.onText(socket, text, last);
            }
        };
        WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder()
                .buildAsync(URI.create(http.getRootUri().replace("http:", "ws:") + "/socket"), listener).get(10, TimeUnit.SECONDS);
        socket.sendText("hello", true).get(10, TimeUnit.SECONDS);
        assertThat(said.poll(10, TimeUnit.SECONDS)).startsWith("default 1.0.1-SNAPSHOT-").endsWith(" hello");
        socket.abort();
    }

    @Test
    void aSocketWhoseClientSendsItsNextTextAtOnceIsNotClosed() throws Exception {
        int texts = 5000;
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        WebSocket.Listener listener = new WebSocket.Listener() {
            private int answers;
            private CompletableFuture<WebSocket> sent;

            @Override
            public void onOpen(WebSocket socket) {
                sent = socket.sendText("hello", true);
                WebSocket.Listener.super.onOpen(socket);
            }

            // an answer may come before this client knows that its own text is sent, and until then it may not send another one
            @Override
            public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
                if (++answers == texts) {
                    ended.complete(answers);
                }
                sent = sent.thenCompose(done -> socket.sendText("again", true));
                return WebSocket.Listener.super.onText(socket, text, last);
            }

            @Override
            public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
                ended.complete(answers);
                return null;
            }
        };
        WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder()
                .buildAsync(URI.create(http.getRootUri().replace("http:", "ws:") + "/socket"), listener).get(10, TimeUnit.SECONDS);
        assertThat(ended.get(60, TimeUnit.SECONDS)).isEqualTo(texts);
        socket.abort();
    }

    @Test
    void bodiesArriveWhole() {
        byte[] body = "hello".getBytes(StandardCharsets.UTF_8);
        assertThat(http.postForObject("/echo", body, byte[].class)).isEqualTo(body);
        assertThat(http.postForObject("/upload", body, DemoController.Upload.class))
                .isEqualTo(new DemoController.Upload(5, SHA256_OF_HELLO, "default"));
    }
}
