package com.example.webservice;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
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
    void bodiesArriveWhole() {
        byte[] body = "hello".getBytes(StandardCharsets.UTF_8);
        assertThat(http.postForObject("/echo", body, byte[].class)).isEqualTo(body);
        assertThat(http.postForObject("/upload", body, DemoController.Upload.class))
                .isEqualTo(new DemoController.Upload(5, SHA256_OF_HELLO, "default"));
    }
}
