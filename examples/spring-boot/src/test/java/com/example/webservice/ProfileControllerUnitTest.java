package com.example.webservice;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.springframework.mock.env.MockEnvironment;

class ProfileControllerUnitTest {

    private static String profileOf(String... active) {
        MockEnvironment environment = new MockEnvironment();
        environment.setActiveProfiles(active);
        return new ProfileController(environment).profile();
    }

    @Test
    void aDeploymentProfileIsAnsweredWhereverItStands() {
        assertThat(profileOf("real", "oauth", "real-db")).isEqualTo("real");
        assertThat(profileOf("oauth", "real1", "real-db")).isEqualTo("real1");
        assertThat(profileOf("oauth", "real-db", "real2")).isEqualTo("real2");
    }

    @Test
    void withoutADeploymentProfileTheFirstOneIsAnswered() {
        assertThat(profileOf("oauth", "real-db")).isEqualTo("oauth");
    }

    @Test
    void withoutAnyProfileDefaultIsAnswered() {
        assertThat(profileOf()).isEqualTo("default");
    }
}
