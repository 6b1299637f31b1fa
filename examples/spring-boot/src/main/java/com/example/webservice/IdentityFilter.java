package com.example.webservice;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

/** Names slot and version in the head of every answer, so that a load can tell who gave it, whatever its body is. */
@Component
public class IdentityFilter extends OncePerRequestFilter {

    private final Identity identity;

    public IdentityFilter(Identity identity) {
        this.identity = identity;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        response.setHeader("X-Slot", identity.slot());
        response.setHeader("X-Version", identity.version());
        chain.doFilter(request, response);
    }
}
